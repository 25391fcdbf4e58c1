"""The first two journeys of the product, in a real browser, on a whole installation with real workers.

Real scans are read from the shared test data; where it is absent, the same steps run on phantoms exported
as DICOM and on pydicom's own files, and the test's output says so.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from playwright.sync_api import expect
from pydicom.data import get_testdata_file

from synthesis.imaging.dicom_write import to_bytes
from synthesis.imaging.segmentation_write import Authorship, segmentation_of
from synthesis.phantoms import DEMO_SERIES, phantom_series
from tests.dciodvfy import dicom_errors
from tests.running import Launched
from tests.running import semblance as started
from tests.shared_data import DATA
from webapp.cases.demo import MADE_AT, series_files

WAIT_MS = 120_000
VIEWER = "[data-mount=case-viewer]"


@dataclass(frozen=True)
class Scans:
    """What the journey drops on the page."""

    series: list[Path]  # the files of one CT series
    slices: int
    labelled: list[Path]  # an image with its labels
    is_real: bool


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Scans:
    """The CRLM CT and the TotalSegmentator CT with its labels, or stand-ins."""
    if DATA.is_dir():
        series = sorted((DATA / "dicom" / "series_ct_abdomen_CRLM-CT-1004").rglob("*.dcm"))
        labelled = sorted(
            path for path in (DATA / "nifti" / "totalseg_ct_small_multiorgan").rglob("*") if path.is_file()
        )
        return Scans(series, len(series), labelled, True)
    print(f"\nNo shared data at {DATA}: the journey runs on phantoms and on pydicom's own files.")
    folder = tmp_path_factory.mktemp("phantoms")
    series = _written(folder / "plain", series_files(phantom_series(DEMO_SERIES[0])))
    phantom = phantom_series(DEMO_SERIES[1])
    images = series_files(phantom)
    authorship = Authorship(identity="journey", made_at=MADE_AT, kind="MANUAL")
    mask = segmentation_of(images, phantom.labels, phantom.label_set, authorship)
    labelled = _written(folder / "labelled", [*images, mask])
    series.append(Path(str(get_testdata_file("CT_small.dcm"))))
    return Scans(series, len(series) - 1, labelled, False)


def _written(folder: Path, files: list[pydicom.Dataset]) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{number:03d}.dcm" for number in range(len(files))]
    for path, file in zip(paths, files, strict=True):
        path.write_bytes(to_bytes(file))
    return paths


@pytest.fixture(scope="module")
def semblance(frontend: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """Everything, as `make run` starts it, its home in a folder with a space in its name."""
    with started(tmp_path_factory.mktemp("sem blance")) as running:
        yield running


@pytest.fixture
def enter(semblance: Launched) -> Callable[[Any, str], None]:
    """Signs a role's printed account in through the sign-in page."""

    def sign_in(page: Any, role: str) -> None:
        page.set_default_timeout(WAIT_MS)
        page.goto(semblance.address)
        page.get_by_label("Sign-in name").fill(role)
        page.get_by_label("Password").fill(semblance.passwords[role])
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{semblance.address}/")

    return sign_in


def ask(page: Any, **values: str) -> None:
    """Fill the request form and hand it in once the page has said what will happen."""
    page.locator("details.disclosure summary", has_text="More settings").click()
    for name, value in values.items():
        control = page.locator(f"#id_{name}")
        if name == "severity":
            page.locator(f"[name=severity][value={value}]").check()
        elif control.evaluate("one => one.tagName") == "SELECT":
            control.select_option(value)
        else:
            control.fill(value)
    page.locator("#check .check__line").wait_for()
    page.get_by_role("button", name="Make the images").click()
    page.locator("#job-live").wait_for()


def finished(page: Any, state: str = "succeeded") -> None:
    page.locator(f'#job-live[data-state="{state}"]').wait_for()


def viewer_shows_panes(page: Any) -> None:
    page.locator("[data-mount=result-viewer][data-state=ready]").wait_for()


def test_the_first_five_minutes(page, semblance, enter, check_accessibility):
    """Journey 1: the demo account sees the demo dataset, asks, watches, and looks at the result."""
    assert set(semblance.passwords) == {
        "clinician", "annotator", "study_lead", "data_manager", "researcher", "administrator"
    }  # fmt: skip
    enter(page, "clinician")
    page.get_by_role("link", name="Datasets").first.click()
    page.get_by_role("link", name=re.compile("Demo: phantom abdomen")).first.click()
    page.locator(".tile").nth(5).wait_for()
    page.get_by_role("link", name="Synthesise").first.click()
    ask(page, severity="severe", count="2", seed="7")
    finished(page)
    page.locator(".gallery .tile a").first.click()
    viewer_shows_panes(page)
    page.get_by_role("heading", name="Quality checks").wait_for()
    check_accessibility(page)


def test_from_a_real_scan(page, another_machine, semblance, enter, scans, tmp_path):
    """Journey 2: import, view, paint, ask for severe cirrhosis, watch, cancel, open and check the DICOM."""
    # --- a data manager imports both scans and shares them
    keeper = another_machine()
    enter(keeper, "data_manager")
    keeper.get_by_role("link", name="Datasets").first.click()
    keeper.goto(semblance.address + "/datasets/new/")
    keeper.get_by_label("Name").fill("Journey")
    keeper.get_by_role("button", name="Make the dataset").click()
    keeper.locator("[data-drop]").wait_for()
    import_address = keeper.url
    imported(keeper, scans.series)
    count = int(keeper.locator("[data-count=taken]").inner_text())
    count += int(keeper.locator("[data-count=changed]").inner_text())
    assert count >= scans.slices
    series_case = keeper.locator(".gallery .tile a").first.get_attribute("href")
    keeper.goto(import_address)
    imported(keeper, scans.labelled)
    labelled_case = keeper.locator(".gallery .tile a").first.get_attribute("href")
    keeper.goto(import_address)
    imported(keeper, scans.series)
    assert int(keeper.locator("[data-count=taken]").inner_text()) == 0
    assert int(keeper.locator("[data-count=duplicate]").inner_text()) >= scans.slices
    keeper.goto(import_address.removesuffix("import/"))
    keeper.get_by_label("Sign-in name").fill("clinician")
    keeper.get_by_label("May").select_option("annotate")
    keeper.locator("#sharing").get_by_role("button", name="Share").click()
    keeper.get_by_text("Shared with").wait_for()

    # --- the clinician scrolls, windows, measures and paints
    enter(page, "clinician")
    page.goto(semblance.address + series_case)
    viewer = page.locator(f"{VIEWER}[data-state=ready]")
    viewer.wait_for()
    painted_and_kept(page)

    # --- and asks for the same anatomy with severe cirrhosis
    slice_index = middle_of_liver(page, semblance, labelled_case, scans)
    page.goto(f"{semblance.address}/synthesise/?case={labelled_case.split('/')[2]}&slice={slice_index}")
    page.locator("#check .check__pictures img").first.wait_for()
    ask(page, modality="CT", severity="severe", count="1", steps="4", seed="11")
    finished(page)
    wanted = page.locator(".gallery .tile a").first.get_attribute("href")

    # --- one more job, long, is cancelled while it runs
    page.goto(f"{semblance.address}/synthesise/")
    ask(page, count="16", steps="100")
    page.locator('#job-live[data-state="running"]').wait_for()
    page.get_by_role("button", name="Cancel this job").click()
    finished(page, "cancelled")

    # --- the result is linked to its source and its files are sound
    page.goto(semblance.address + wanted)
    viewer_shows_panes(page)
    source = re.compile("^" + re.escape(labelled_case))
    expect(page.get_by_role("button", name="Open the source")).to_have_attribute("href", source)
    with page.expect_download() as download:
        page.get_by_role("button", name="DICOM with mask (zip)").click()
    path = tmp_path / "result.zip"
    download.value.save_as(path)
    sound_dicom(path, tmp_path)
    page.get_by_label("Why").fill("Texture as expected.")
    page.get_by_role("button", name="Accept", exact=True).click()
    page.locator(".badge--ok", has_text="Accepted").wait_for()

    # --- and can be made again, exactly
    page.get_by_role("button", name="Make exactly this again").click()
    finished(page)
    page.get_by_text(re.compile("every pixel", re.IGNORECASE)).first.wait_for()


def imported(page: Any, files: list[Path]) -> None:
    """Choose the files, send them, wait for the finished report."""
    page.locator("[data-mount=upload][data-mounted=yes]").wait_for()
    page.locator("[data-files]").set_input_files([str(path) for path in files])
    page.get_by_text(re.compile(rf"^{len(files)} files?, ")).wait_for()
    page.locator("[data-send]").click()
    page.locator('#import-live[data-state="finished"]').wait_for()


def painted_and_kept(page: Any) -> None:
    page.keyboard.press("2")
    page.keyboard.press("ArrowDown")
    box = page.locator("[data-viewport]").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.keyboard.press("l")
    _drag(page, (x - 60, y - 60), (x + 40, y - 60))
    page.locator("[data-viewport] svg text").first.wait_for(state="attached")
    page.keyboard.press("b")
    page.locator('.workspace[data-mask-state="saved"]').wait_for()
    _drag(page, (x - 80, y), (x - 20, y + 20))
    page.locator('.workspace[data-mask-state="unsaved"]').wait_for()
    page.keyboard.press("Control+s")
    page.locator('.workspace[data-mask-state="saved"]').wait_for()


def _drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=4)
    page.mouse.move(*end, steps=4)
    page.mouse.up()


def middle_of_liver(page: Any, semblance: Launched, case: str, scans: Scans) -> int:
    """The slice (from 0) with the most liver, by the case's own mask as the site serves it."""
    masks = page.request.get(f"{semblance.address}{case}masks/").json()["masks"]
    assert masks, "the labelled scan came without its mask"
    mask = masks[0]
    values = [one["value"] for one in mask["labels"] if one["name"].lower() == "liver"]
    assert values, f"no liver among {[one['name'] for one in mask['labels']]}"
    body = page.request.get(f"{semblance.address}{case}masks/{mask['id']}/voxels").body()
    voxels = np.frombuffer(zlib.decompress(body), "<u2").reshape(mask["shape"])
    return int((voxels == values[0]).sum(axis=(1, 2)).argmax())


def sound_dicom(path: Path, folder: Path) -> None:
    """The files open in pydicom and highdicom, say that they are synthetic, and dciodvfy finds no error."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist() if name.endswith(".dcm")}
    found = {name: pydicom.dcmread(io.BytesIO(data)) for name, data in contents.items()}
    images = [one for one in found.values() if one.Modality == "CT"]
    masks = [data for name, data in contents.items() if found[name].Modality == "SEG"]
    assert len(images) == 1
    assert len(masks) == 1
    image = images[0]
    assert (image.SyntheticData, image.ContentQualification) == ("YES", "RESEARCH")
    assert image.pixel_array.shape == (image.Rows, image.Columns)
    hounsfield = image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)
    assert -1100 < hounsfield.min() < -800
    assert 0 < np.median(hounsfield[hounsfield > -200]) < 120
    segmentation = highdicom.seg.segread(io.BytesIO(masks[0]))
    assert segmentation.number_of_segments >= 3
    for name, data in contents.items():
        file = folder / Path(name).name
        file.write_bytes(data)
        assert dicom_errors(file) == []
