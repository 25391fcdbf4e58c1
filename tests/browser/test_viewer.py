"""The case page in a real browser: pixels, windows, measuring, painting, errors, accessibility."""

import io
import re

import numpy as np
import pydicom
import pytest
from django.core.files.storage import default_storage
from django.urls import reverse
from PIL import Image
from playwright.sync_api import TimeoutError, expect
from pydicom.data import get_testdata_file

from tests import factories
from tests.browser.reading import soon
from tests.shared_data import DATA, needs_shared_data
from webapp.cases.selectors import case_slice, mask_array
from webapp.cases.services import case_create_from_dicom

VIEWER = "[data-mount=case-viewer]"


@pytest.fixture
def painter(site):
    return factories.person("clinician")


@pytest.fixture
def case(painter):
    return factories.case(dataset=factories.dataset(shares={painter: "annotate"}), slices=4, name="Small CT")


def open_case(page, site, case, query="", state="ready"):
    page.goto(site + reverse("cases:case-detail", kwargs={"case_id": case.pk}) + query)
    page.locator(f"{VIEWER}[data-state={state}]").wait_for()
    return page.locator(VIEWER)


def middle(page):
    box = page.locator("[data-viewport]").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(page, start, end):
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=4)
    page.mouse.move(*end, steps=4)
    page.mouse.up()


def wait_for(viewer, attribute, value):
    viewer.page.locator(f'{VIEWER}[data-{attribute}="{value}"]').wait_for()


def canvas_grey(page):
    """The image canvas alone, as grey values [rows, columns]; the overlay and tools are hidden for it."""
    page.evaluate(
        "() => document.querySelectorAll('.overlay, .viewport svg')"
        ".forEach((one) => { one.style.visibility = 'hidden'; })"
    )
    shot = page.locator("[data-viewport] canvas").first.screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("L")).astype(float)


def expected_grey(case, index, center, width):
    values = case_slice(case, index).array
    return np.clip(((values - (center - 0.5)) / (width - 1) + 0.5) * 255, 0, 255)


def shown_pixels(page, case, shot):
    """The canvas at the centre of each image pixel: the square image is fitted to the shorter side."""
    height, width = shot.shape
    scale = min(height / case.rows, width / case.columns)
    rows = (height - case.rows * scale) / 2 + (np.arange(case.rows) + 0.5) * scale
    columns = (width - case.columns * scale) / 2 + (np.arange(case.columns) + 0.5) * scale
    return shot[np.ix_(rows.astype(int), columns.astype(int))]


def check_pixels(page, case, index, center, width):
    soon(lambda: compare_pixels(page, case, index, center, width))  # drawn with the browser's next frame


def compare_pixels(page, case, index, center, width):
    shown = shown_pixels(page, case, canvas_grey(page))
    wanted = expected_grey(case, index, center, width)
    inner = np.s_[2:-2, 2:-2]
    correlation = np.corrcoef(shown[inner].ravel(), wanted[inner].ravel())[0, 1]
    assert correlation > 0.985
    # On even ground, where interpolation changes nothing, the grey levels are the standard's.
    even = even_ground(wanted)
    assert even.sum() > 50
    assert np.abs(shown - wanted)[even].max() <= 3


def even_ground(image):
    spread = np.zeros(image.shape)
    for rows in (-1, 0, 1):
        for columns in (-1, 0, 1):
            spread = np.maximum(spread, np.abs(np.roll(image, (rows, columns), (0, 1)) - image))
    even = spread <= 1.0
    even[:2], even[-2:], even[:, :2], even[:, -2:] = False, False, False, False
    return even


def test_the_image_is_shown_as_stored_and_scrolls(page, site, sign_in, painter, case):
    sign_in(page, painter)
    viewer = open_case(page, site, case, "?slice=0")
    wait_for(viewer, "slice", 1)
    page.keyboard.press("3")
    wait_for(viewer, "window", "-600/1500")
    check_pixels(page, case, 0, -600, 1500)
    page.keyboard.press("ArrowDown")
    wait_for(viewer, "slice", 2)
    page.keyboard.press("End")
    wait_for(viewer, "slice", 4)
    page.mouse.move(*middle(page))
    page.mouse.wheel(0, -100)
    wait_for(viewer, "slice", 3)
    slider = page.locator("[data-slider]")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("^Slice 3 of 4"))
    slider.fill("2")
    wait_for(viewer, "slice", 2)
    link = f"{reverse('jobs:synthesise')}?case={case.pk}&slice=1"
    expect(page.locator("[data-synthesise]")).to_have_attribute("href", link)


def test_the_value_under_the_pointer_is_the_images_own(page, site, sign_in, painter, case):
    sign_in(page, painter)
    open_case(page, site, case, "?slice=0")
    values = case_slice(case, 0).array
    readout = page.locator(".overlay__readout")
    x, y = middle(page)
    before = ""
    for place in ((0, 0), (31, -47), (-80, 60)):
        page.mouse.move(x + place[0], y + place[1])
        expect(readout).not_to_have_text(before)
        before = readout.inner_text()
        text = before.replace("−", "-")
        value, column, row = re.fullmatch(r"(-?[\d.]+) HU · column (\d+), row (\d+)", text).groups()
        assert float(value) == pytest.approx(values[int(row), int(column)], abs=0.01)


@pytest.mark.parametrize(
    ("key", "window"), [("1", "40/400"), ("2", "70/150"), ("3", "-600/1500"), ("4", "400/1800")]
)
def test_presets_are_keys_and_buttons(page, site, sign_in, painter, case, key, window):
    sign_in(page, painter)
    viewer = open_case(page, site, case)
    page.keyboard.press("5")
    page.keyboard.press(key)
    wait_for(viewer, "window", window)
    expect(page.locator("[data-presets] [aria-pressed=true]")).to_have_count(1)


def test_a_length_is_in_millimetres_and_a_region_has_its_mean(page, site, sign_in, painter, case):
    sign_in(page, painter)
    open_case(page, site, case, "?slice=0")
    x, y = middle(page)
    box = page.locator("[data-viewport]").bounding_box()
    pixel = min(box["height"] / case.rows, box["width"] / case.columns)
    page.keyboard.press("l")
    drag(page, (x - 40 * pixel, y - 20 * pixel), (x - 10 * pixel, y - 20 * pixel))
    text = page.locator("[data-viewport] svg text").first
    text.wait_for(state="attached")
    soon(lambda: says(text, r"([\d.]+) mm", pytest.approx(30 * case.spacing_mm[1], rel=0.03)))
    page.keyboard.press("o")
    drag(page, (x + 20 * pixel, y + 20 * pixel), (x + 26 * pixel, y + 26 * pixel))
    region = page.locator("[data-viewport] svg text", has_text="Mean")
    region.wait_for(state="attached")
    values = case_slice(case, 0).array
    rows, columns = np.ogrid[: case.rows, : case.columns]
    inside = (rows - case.rows / 2 - 19.5) ** 2 + (columns - case.columns / 2 - 19.5) ** 2 <= 36
    wanted = pytest.approx(float(values[inside].mean()), abs=float(0.12 * values[inside].std() + 5))
    soon(lambda: says(region, r"Mean (-?[\d.]+) HU", wanted))
    page.keyboard.press("Shift+Delete")
    page.locator("[data-viewport] svg text").first.wait_for(state="detached")


def says(label, pattern, wanted):
    """The number in a measurement's label, which follows the drag frame by frame."""
    found = re.search(pattern, label.text_content().replace("−", "-"))
    assert found is not None
    assert float(found.group(1)) == wanted


def workspace(page, state):
    there = page.locator(".workspace")
    try:
        page.locator(f'.workspace[data-mask-state="{state}"]').wait_for()
    except TimeoutError as error:
        said = page.locator("[data-status]").text_content()
        raise AssertionError(f"{there.get_attribute('data-mask-state')}, not {state}: {said}") from error
    return there


def test_a_painted_mask_is_saved_and_comes_back_equal(page, site, sign_in, painter, case):
    sign_in(page, painter)
    open_case(page, site, case, "?slice=1")
    x, y = middle(page)
    page.keyboard.press("b")
    workspace(page, "saved")
    expect(page.locator("input[name=paint-label]:checked")).to_have_value("6")
    drag(page, (x - 80, y - 30), (x + 60, y + 20))
    workspace(page, "unsaved")
    page.get_by_label("spleen", exact=True).check()
    page.locator("[data-viewport]").focus()
    page.keyboard.press("ArrowDown")
    wait_for(page.locator(VIEWER), "slice", 3)
    drag(page, (x + 90, y + 60), (x + 110, y + 70))
    page.locator("[data-mask=name]").fill("Mine")
    page.locator("[data-mask=save]").click()
    workspace(page, "saved")
    mask = case.masks.get()
    assert (mask.name, mask.version, mask.origin) == ("Mine", 1, "painted")
    first = mask_array(mask)
    assert sorted(np.unique(first)) == [0, 6, 7]
    assert (first[1] == 6).sum() > 100
    assert (first[2] == 7).sum() > 20
    assert not first[0].any()

    # Opened again, saved under another name without a change: the same voxels.
    open_case(page, site, case, f"?mask={mask.pk}")
    workspace(page, "saved")
    page.locator("[data-mask=name]").fill("Copy")
    page.locator("[data-mask=save]").click()
    page.get_by_text("Saved: Copy, version 1.").wait_for()
    np.testing.assert_array_equal(mask_array(case.masks.get(name="Copy")), first)


def test_a_stroke_is_undone_redone_and_erased(page, site, sign_in, painter, case):
    sign_in(page, painter)
    open_case(page, site, case, "?slice=1")
    x, y = middle(page)
    page.keyboard.press("b")
    workspace(page, "saved")
    drag(page, (x - 60, y), (x + 60, y))
    workspace(page, "unsaved")

    def saved_voxels(name):
        page.locator("[data-mask=name]").fill(name)
        page.locator("[data-mask=save]").click()
        page.get_by_text(f"Saved: {name}, version").wait_for()
        page.locator("[data-viewport]").focus()
        return int((mask_array(case.masks.filter(name=name).latest("version")) > 0).sum())

    painted = saved_voxels("Painted")
    assert painted > 100
    page.keyboard.press("Control+z")
    assert saved_voxels("Undone") == 0
    page.keyboard.press("Control+y")
    assert saved_voxels("Redone") == painted
    page.keyboard.press("e")
    drag(page, (x - 60, y), (x, y))
    erased = saved_voxels("Erased")
    assert 0 < erased < painted


def test_leaving_with_unsaved_painting_asks_first(page, site, sign_in, painter, case):
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    sign_in(page, painter)
    open_case(page, site, case, "?slice=1")
    x, y = middle(page)
    page.keyboard.press("b")
    workspace(page, "saved")
    open_case(page, site, case, "?slice=1")
    assert asked == []
    page.keyboard.press("b")
    workspace(page, "saved")
    drag(page, (x - 60, y), (x + 60, y))
    workspace(page, "unsaved")
    open_case(page, site, case)
    assert asked == ["beforeunload"]


def test_somebody_elses_newer_version_is_not_overwritten(page, site, sign_in, painter, case):
    mask = factories.mask(case, painter, name="Liver")
    sign_in(page, painter)
    open_case(page, site, case, f"?mask={mask.pk}&slice=1")
    workspace(page, "saved")
    factories.mask(case, factories.person("clinician"), name="Liver", value=7)
    x, y = middle(page)
    page.keyboard.press("b")
    drag(page, (x - 60, y), (x + 60, y))
    workspace(page, "unsaved")
    page.keyboard.press("Control+s")
    page.get_by_text("Your painting is still here.").wait_for()
    workspace(page, "unsaved")
    assert case.masks.filter(name="Liver").count() == 2


def test_a_failed_load_is_written_in_the_viewport_and_can_be_tried_again(page, site, sign_in, painter, case):
    sign_in(page, painter)
    page.route("**/frames/*", lambda route: route.fulfill(status=503, body="no"))
    open_case(page, site, case, "?slice=0", state="error")
    notice = page.locator(".overlay__notice")
    expect(notice).to_contain_text("Slice 1 could not be loaded")
    page.unroute("**/frames/*")
    notice.get_by_role("button", name="Try again").click()
    page.locator(f"{VIEWER}[data-state=ready]").wait_for()
    expect(notice).to_be_hidden()
    page.keyboard.press("3")
    wait_for(page.locator(VIEWER), "window", "-600/1500")
    check_pixels(page, case, 0, -600, 1500)


def test_a_series_that_does_not_answer_says_so(page, site, sign_in, painter, case):
    sign_in(page, painter)
    page.route("**/metadata", lambda route: route.fulfill(status=500, body="no"))
    open_case(page, site, case, state="error")
    expect(page.locator(".overlay__notice")).to_contain_text("could not be opened")


def test_without_webgl_images_are_shown_and_masks_are_declined(
    page_without_webgl, site, sign_in, painter, case
):
    page = page_without_webgl
    factories.mask(case, painter)
    sign_in(page, painter)
    viewer = open_case(page, site, case, "?slice=0")
    wait_for(viewer, "renderer", "cpu")
    expect(page.locator("[data-no-webgl]")).to_be_visible()
    expect(page.locator("[data-action='tool.brush']")).to_be_hidden()
    page.keyboard.press("3")
    wait_for(viewer, "window", "-600/1500")
    check_pixels(page, case, 0, -600, 1500)


def test_a_synthetic_case_says_so_on_the_image(page, site, sign_in, painter, case):
    sign_in(page, painter)
    open_case(page, site, case)
    expect(page.locator(".overlay__synthetic")).to_have_count(0)
    case.is_synthetic = True
    case.save()
    open_case(page, site, case)
    expect(page.locator(".overlay__synthetic")).to_have_text("SYNTHETIC")


def test_the_keys_are_listed_and_the_page_needs_no_mouse(page, site, sign_in, painter, case):
    sign_in(page, painter)
    viewer = open_case(page, site, case)
    page.keyboard.press("?")
    help_dialog = page.get_by_role("dialog")
    expect(help_dialog).to_contain_text("Window and level")
    page.keyboard.press("Escape")
    help_dialog.wait_for(state="hidden")
    for key, tool in (("z", "zoom"), ("p", "pan"), ("l", "length"), ("e", "eraser"), ("w", "window")):
        page.locator("[data-viewport]").focus()
        page.keyboard.press(key)
        wait_for(viewer, "tool", tool)
        pressed = page.locator("[data-action^='tool.'][aria-pressed=true]")
        expect(pressed).to_have_attribute("data-action", f"tool.{tool}")


def test_keys_typed_into_a_field_stay_there(page, site, sign_in, painter, case):
    sign_in(page, painter)
    viewer = open_case(page, site, case)
    page.keyboard.press("b")
    workspace(page, "saved")
    page.locator("[data-mask=name]").fill("")
    page.locator("[data-mask=name]").press_sequentially("wzl")
    expect(page.locator("[data-mask=name]")).to_have_value("wzl")
    expect(viewer).to_have_attribute("data-tool", "brush")


def test_everything_fits_into_1280_by_800(page, site, sign_in, painter, case):
    sign_in(page, painter)
    open_case(page, site, case)
    assert page.evaluate("() => document.documentElement.scrollHeight") <= 800
    box = page.locator("[data-viewport]").bounding_box()
    assert box["y"] + box["height"] <= 800
    assert box["height"] > 500


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing(page, site, sign_in, painter, case, check_accessibility, theme):
    mask = factories.mask(case, painter)
    sign_in(page, painter)
    page.context.add_cookies([{"name": "theme", "value": theme, "url": site}])
    open_case(page, site, case, f"?mask={mask.pk}")
    workspace(page, "saved")
    check_accessibility(page)
    page.keyboard.press("?")
    check_accessibility(page)


def test_colour_images_without_a_modality_are_shown(page, site, sign_in, painter, tmp_path):
    image = pydicom.dcmread(get_testdata_file("examples_rgb_color.dcm"))
    del image.Modality
    image.save_as(tmp_path / "colour.dcm")
    case = case_create_from_dicom(
        files=[tmp_path / "colour.dcm"], name="Colour", dataset=factories.dataset(shares={painter: "view"})
    )
    sign_in(page, painter)
    open_case(page, site, case)
    page.mouse.move(*middle(page))
    expect(page.locator(".overlay__readout")).to_have_text(re.compile("^colour · column"))


@needs_shared_data
def test_a_real_liver_ct_is_shown_as_stored(page, site, sign_in, painter):
    folder = DATA / "dicom" / "series_ct_abdomen_CRLM-CT-1004"
    case = case_create_from_dicom(
        files=sorted(folder.glob("*.dcm")),
        name="CRLM",
        dataset=factories.dataset(shares={painter: "annotate"}),
    )
    sign_in(page, painter)
    viewer = open_case(page, site, case, "?slice=20")
    page.keyboard.press("1")
    wait_for(viewer, "window", "40/400")
    assert case.slice_count == len(list(folder.glob("*.dcm")))
    check_pixels(page, case, 20, 40, 400)


@needs_shared_data
def test_compressed_images_are_decoded_in_the_browser_to_the_same_values(page, site, sign_in, painter):
    path = DATA / "dicom" / "ct_one_image_many_syntaxes" / "CT_JPEG2000LosslessOnly.dcm"
    case = case_create_from_dicom(
        files=[path], name="J2K", dataset=factories.dataset(shares={painter: "view"})
    )
    with default_storage.open(case.instances.get().file) as file:
        assert pydicom.dcmread(file).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.90"
    sign_in(page, painter)
    viewer = open_case(page, site, case)
    page.keyboard.press("1")
    wait_for(viewer, "window", "40/400")
    check_pixels(page, case, 0, 40, 400)
