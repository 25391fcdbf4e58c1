"""Reading in a real browser: by keyboard alone, several questions, slices, windows, practice, going back."""

import re

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from tests import factories_taking
from tests.browser.reading import loaded_ahead, looks_like, scores, shown, until
from webapp.readings.models import Answer, Place, ViewingLog
from webapp.readings.protocol import Protocol

QUALITY = {"type": "likert", "name": "quality", "label": "How good is the image?"}
REMARK = {"type": "free_text", "name": "remark", "label": "Remarks", "required": False}
FIRST = Protocol().to_json()["questions"]


def test_a_study_is_read_by_keyboard_alone(page, site, sign_in, reader, check_accessibility):
    reading = factories_taking.study([reader], items=4)
    sign_in(page, reader)
    place = reading.places.get(user=reader)
    page.goto(site + reverse("readings:take-welcome", kwargs={"place_id": place.pk}))
    check_accessibility(page)
    page.get_by_label("Your profession").select_option("radiologist")
    page.get_by_label("Years of reading").fill("12")
    page.get_by_label("Synthetic medical images").select_option("some")
    page.get_by_label("Synthetic medical images").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    shown(page, 1)
    check_accessibility(page)
    places = set()
    for number, key in enumerate("1542", start=1):
        shown(page, number)
        assert looks_like(page, factories_taking.picture(number - 1)[0])
        places.add((page.url, page.title(), page.evaluate("() => history.length")))
        page.keyboard.press(key)
    page.get_by_role("heading", name="Thank you").wait_for()
    check_accessibility(page)
    assert len(places) == 1
    until(lambda: scores() == [1, 5, 4, 2])
    assert ViewingLog.objects.count() == 4
    assert Place.objects.get(pk=place.pk).experience["years"] == 12


def test_whoever_cannot_tell_is_asked_for_a_side(page, reader, open_reading, check_accessibility):
    open_reading(page, factories_taking.study([reader]))
    shown(page, 1)
    page.keyboard.press("3")
    page.get_by_text("If you had to choose: R real or S synthetic.").wait_for()
    check_accessibility(page)
    page.keyboard.press("Enter")  # chooses nothing
    page.keyboard.press("s")
    shown(page, 2)
    until(Answer.objects.exists)
    assert Answer.objects.get().value == {"score": 3, "synthetic": True, "scale": "5"}


def test_several_questions_are_saved_as_they_are_given(page, reader, open_reading, check_accessibility):
    open_reading(page, factories_taking.study([reader], questions=[*FIRST, QUALITY, REMARK]))
    shown(page, 1)
    check_accessibility(page)
    page.keyboard.press("Enter")
    page.get_by_text("Please answer “Is this image real or synthetic?” first.").wait_for()
    page.keyboard.press("2")
    until(lambda: Answer.objects.count() == 1)
    page.keyboard.press("5")
    until(lambda: Answer.objects.count() == 2)
    expect(page.locator("[data-question=quality] .target[aria-pressed=true]")).to_have_text(re.compile("^5"))
    page.reload()
    shown(page, 1)
    expect(page.locator(".target[aria-pressed=true]")).to_have_count(2)
    page.get_by_label("Remarks").fill("Ring artefact in the middle")
    page.keyboard.press("Control+End")
    page.get_by_role("button", name="Next").click()
    shown(page, 2)
    until(lambda: Answer.objects.filter(question="remark").exists())
    assert Answer.objects.get(question="remark").value == {"text": "Ring artefact in the middle"}
    page.keyboard.press("4")
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    shown(page, 3)
    until(lambda: scores() == [2, 4])


def test_a_practice_image_says_what_it_was(page, reader, open_reading, check_accessibility):
    open_reading(page, factories_taking.study([reader], roles={0: "training"}))
    shown(page, 1)
    expect(page.get_by_text("Practice", exact=True)).to_be_visible()
    page.keyboard.press("5")
    page.get_by_text("This image is real.").wait_for()
    check_accessibility(page)
    page.keyboard.press("4")  # the answer stands
    page.keyboard.press("Enter")
    shown(page, 2)
    expect(page.get_by_text("Practice", exact=True)).to_be_hidden()
    until(lambda: scores() == [5])


def test_a_reader_may_look_back_where_the_protocol_allows_it(page, reader, open_reading):
    open_reading(page, factories_taking.study([reader], items=3, going_back=True))
    for number in (1, 2):
        shown(page, number)
        page.keyboard.press("2")
    shown(page, 3)
    page.keyboard.press("Backspace")
    shown(page, 2)
    page.keyboard.press("Backspace")
    shown(page, 1)
    expect(page.locator(".target[aria-pressed=true]")).to_have_text([re.compile("Probably real$")])
    page.keyboard.press("5")
    shown(page, 2)
    page.keyboard.press("Enter")
    shown(page, 3)
    page.keyboard.press("4")
    page.get_by_role("heading", name="Every image is answered").wait_for()
    page.get_by_role("button", name="Look back").click()
    shown(page, 3)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Finish").click()
    page.get_by_role("heading", name="Thank you").wait_for()
    until(lambda: scores() == [2, 5, 2, 4])


def test_items_of_several_slices(page, reader, open_reading):
    open_reading(page, factories_taking.study([reader], frames=3))
    shown(page, 1)
    viewport = page.locator("[data-viewport]")
    expect(viewport).to_have_attribute("data-slice", "2")
    pictures = factories_taking.picture(0, 3)
    for key, slice_ in (("ArrowDown", 3), ("ArrowUp", 2), ("ArrowUp", 1)):
        page.keyboard.press(key)
        page.locator(f'[data-viewport][data-slice="{slice_}"]').wait_for()
        until(lambda wanted=slice_: looks_like(page, pictures[wanted - 1]))
    box = viewport.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, 100)
    page.locator('[data-viewport][data-slice="2"]').wait_for()
    page.keyboard.press("4")
    shown(page, 2)
    until(ViewingLog.objects.exists)
    assert set(ViewingLog.objects.get().log["slices"]) == {"0", "1", "2"}


def drag(page):
    box = page.locator("[data-viewport]").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y + 40, steps=5)
    page.mouse.up()


def test_single_keys_can_be_switched_off(page, reader, open_reading, check_accessibility):
    open_reading(page, factories_taking.study([reader]))
    shown(page, 1)
    page.keyboard.press("?")
    page.get_by_label("Single letters and digits are keys").uncheck()
    check_accessibility(page)
    page.keyboard.press("Escape")
    for key in ("4", "i", "w"):
        page.keyboard.press(key)
    expect(page.locator('body[data-item="1"][data-state="ready"]')).to_be_attached()
    page.get_by_role("button", name="Probably real").focus()
    page.keyboard.press("Enter")
    shown(page, 2)
    until(lambda: scores() == [2])
    page.reload()
    shown(page, 2)
    page.keyboard.press("5")
    expect(page.locator(".target[aria-pressed=true]")).to_have_count(0)
    page.get_by_role("button", name="Keys").click()
    page.get_by_label("Single letters and digits are keys").check()
    page.keyboard.press("Escape")
    page.keyboard.press("5")
    shown(page, 3)


@pytest.mark.parametrize("window", ["free", "fixed"])
def test_the_window_is_free_or_fixed(page, reader, open_reading, window):
    open_reading(page, factories_taking.study([reader], window=window))
    shown(page, 1)
    viewport = page.locator("[data-viewport]")
    expect(viewport).to_have_attribute("data-window", "40/400")
    drag(page)
    page.keyboard.press("w")
    drag(page)
    page.keyboard.down("Control")
    drag(page)
    page.keyboard.up("Control")
    if window == "free":
        expect(viewport).not_to_have_attribute("data-window", "40/400")
    else:
        expect(viewport).to_have_attribute("data-window", "40/400")
    expect(page.locator("[data-action='tool.window']")).to_have_count(int(window == "free"))
    page.keyboard.press("f")
    page.locator('[data-viewport][data-window="40/400"]').wait_for()
    page.keyboard.press("4")
    shown(page, 2)
    until(ViewingLog.objects.exists)
    assert (len(ViewingLog.objects.get().log["windows"]) > 1) == (window == "free")


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_reading_page_is_accessible_whole_and_zoomed(
    page, site, reader, open_reading, check_accessibility, theme
):
    page.context.add_cookies([{"name": "theme", "value": theme, "url": site}])
    open_reading(page, factories_taking.study([reader], questions=[*FIRST, QUALITY, REMARK]))
    shown(page, 1)
    check_accessibility(page)
    size = "() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    assert page.evaluate(size) == [1280, 800]
    page.keyboard.press("?")
    page.get_by_role("heading", name="Keys and mouse").wait_for()
    check_accessibility(page)
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 640, "height": 400})
    until(lambda: page.evaluate(size)[0] == 640)
    check_accessibility(page)
    assert page.evaluate(size)[0] == 640
    page.get_by_role("button", name="Definitely real").scroll_into_view_if_needed()
    page.get_by_role("button", name="Definitely real").click()
    until(lambda: scores() == [1])


def test_the_next_image_is_there_at_once(page, reader, open_reading, capsys):
    open_reading(page, factories_taking.study([reader], items=12))
    for number in range(1, 12):
        shown(page, number)
        loaded_ahead(page, min(2, 12 - number))
        page.keyboard.press("4")
    shown(page, 12)
    *marks, fetched = page.evaluate(
        """() => [...['item-answered', 'item-shown'].map((name) =>
            performance.getEntriesByName(name).map((one) => [one.detail, one.startTime])),
            performance.getEntriesByType('resource').filter((one) => one.name.includes('/frames/'))
            .map((one) => [one.startTime, one.responseEnd])]"""
    )
    answered, came = (dict(map(tuple, one)) for one in marks)
    assert len(fetched) == 12
    for position, at in answered.items():
        # What comes next was here already, and the one after it: nothing is fetched meanwhile.
        assert sum(end <= at for _, end in fetched) == min(position + 3, 12)
    waits = sorted(came[position + 1] - answered[position] for position in answered)
    middle, longest = waits[len(waits) // 2], waits[-1]
    with capsys.disabled():
        print(f"\nitem to item: median {middle:.0f} ms, longest {longest:.0f} ms, n = {len(waits)}")
