"""Reading in a real browser: by keyboard alone, offline and back, two tabs, pauses, practice, slices."""

import io
import json
import time

import numpy as np
import pytest
from django.contrib.sessions.models import Session
from django.urls import reverse
from PIL import Image

from tests import factories, factories_taking
from webapp.readings.models import Answer, Place, PlaceEvent, ViewingLog
from webapp.readings.protocol import Protocol

PATIENCE_S = 30
SLIP_MS = 310
QUALITY = {"type": "likert", "name": "quality", "label": "How good is the image?"}
REMARK = {"type": "free_text", "name": "remark", "label": "Remarks", "required": False}
FIRST = Protocol().to_json()["questions"]


@pytest.fixture
def reader(site):
    return factories.person("annotator", display_name="Mara Lind")


@pytest.fixture
def open_reading(site, sign_in, reader):
    """Opens the reading page of the reader's place in a study on a tab."""

    def give(page, reading):
        sign_in(page, reader)
        place = reading.places.get(user=reader)
        Place.objects.filter(pk=place.pk).update(experience={"profession": "radiologist"})
        page.goto(site + reverse("readings:take-read", kwargs={"place_id": place.pk}))

    return give


def shown(page, number):
    """Wait until the image of that number (from 1) is there and has been for longer than a slip takes."""
    page.locator(f'body[data-item="{number}"][data-state="ready"]').wait_for()
    age = "() => performance.now() - performance.getEntriesByName('item-shown').at(-1).startTime"
    until(lambda: page.evaluate(age) > SLIP_MS)


def loaded_ahead(page, count):
    page.locator(f'body[data-ahead="{count}"]').wait_for()


def until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def scores():
    return list(
        Answer.objects.filter(question="real_or_synthetic")
        .order_by("assignment__position", "revision")
        .values_list("value__score", flat=True)
    )


def canvas_grey(page):
    """The image alone, as grey values [rows, columns] of the screen."""
    page.evaluate("() => document.querySelectorAll('.overlay').forEach((one) => { one.hidden = true; })")
    shot = page.locator("[data-viewport]").screenshot()
    page.evaluate("() => document.querySelectorAll('.overlay').forEach((one) => { one.hidden = false; })")
    return np.asarray(Image.open(io.BytesIO(shot)).convert("L")).astype(float)


def looks_like(page, picture, center=40, width=400):
    """The middle of the image's pixels on screen against its window's grey levels."""
    screen = canvas_grey(page)
    rows, columns = picture.shape
    scale = screen.shape[0] / rows  # the viewport is wider than high, the image square
    left = (screen.shape[1] - columns * scale) / 2
    at_rows = ((np.arange(rows) + 0.5) * scale).astype(int)
    at_columns = (left + (np.arange(columns) + 0.5) * scale).astype(int)
    inner = np.s_[2:-2, 2:-2]
    drawn = screen[np.ix_(at_rows, at_columns)][inner]
    wanted = np.clip(((picture - (center - 0.5)) / (width - 1) + 0.5) * 255, 0, 255)[inner]
    return float(np.corrcoef(drawn.ravel(), wanted.ravel())[0, 1]) > 0.98


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
    assert page.locator("[data-question=quality] .target[aria-pressed=true]").inner_text().startswith("5")
    page.reload()
    shown(page, 1)
    assert page.locator(".target[aria-pressed=true]").count() == 2
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


def test_answers_wait_for_a_lost_connection_and_are_sent_in_order(page, reader, open_reading):
    open_reading(page, factories_taking.study([reader], items=6))
    shown(page, 1)
    loaded_ahead(page, 2)
    page.context.set_offline(True)
    for number, key in enumerate("251", start=1):
        shown(page, number)
        page.keyboard.press(key)
    page.get_by_text("3 answers are waiting to be sent").wait_for()
    page.get_by_role("heading", name="One moment").wait_for()
    assert scores() == []
    page.context.set_offline(False)
    shown(page, 4)
    page.get_by_text("All answers are sent.").wait_for()
    until(lambda: scores() == [2, 5, 1])
    assert PlaceEvent.objects.filter(kind="answer_set_aside").count() == 0
    page.keyboard.press("4")
    shown(page, 5)


def test_closing_the_tab_loses_nothing(page, reader, open_reading, site):
    open_reading(page, factories_taking.study([reader]))
    shown(page, 1)
    loaded_ahead(page, 2)
    address = page.url
    page.context.set_offline(True)
    page.keyboard.press("5")
    shown(page, 2)
    page.get_by_text("1 answer is waiting to be sent").wait_for()
    held = "() => Object.entries(localStorage).filter(([key]) => key.startsWith('reading-')).sort()"
    kept = [value for _, value in page.evaluate(held)]
    page.close()
    again = page.context.new_page()
    page.context.set_offline(False)
    again.goto(address)
    shown(again, 2)
    until(lambda: scores() == [5])
    assert set(json.loads(kept[0])) == {"id", "kind", "token", "body"}
    assert set(json.loads(kept[0])["body"]) == {"page", "submission", "answers", "seconds", "is_complete"}


def test_a_double_click_answers_one_image(page, reader, open_reading):
    open_reading(page, factories_taking.study([reader]))
    shown(page, 1)
    page.get_by_role("button", name="Probably real").dblclick(delay=5)
    shown(page, 2)
    page.keyboard.press("4")
    shown(page, 3)
    until(lambda: scores() == [2, 4])


def test_an_answer_before_anybody_can_have_looked_is_a_slip(page, reader, open_reading):
    open_reading(page, factories_taking.study([reader]))
    shown(page, 1)
    loaded_ahead(page, 2)
    page.evaluate(
        """() => new Promise((done) => {
            const body = document.body;
            const press = () =>
                body.dispatchEvent(new KeyboardEvent('keydown', { key: '2', bubbles: true }));
            const watch = new MutationObserver(() => {
                if (body.dataset.item !== '2' || body.dataset.state !== 'ready') return;
                watch.disconnect();
                press();
                done();
            });
            watch.observe(body, { attributes: true });
            press();
        })"""
    )
    page.get_by_text("too quick to have been meant").wait_for()
    shown(page, 2)
    page.keyboard.press("5")
    shown(page, 3)
    until(lambda: scores() == [2, 5])


def test_of_two_tabs_the_newer_reads(page, reader, open_reading, check_accessibility):
    reading = factories_taking.study([reader])
    open_reading(page, reading)
    shown(page, 1)
    newer = page.context.new_page()
    open_reading(newer, reading)
    shown(newer, 1)
    page.get_by_role("heading", name="Reading goes on elsewhere").wait_for()
    check_accessibility(page)
    page.keyboard.press("2")
    newer.keyboard.press("5")
    shown(newer, 2)
    until(lambda: scores() == [5])
    page.get_by_role("button", name="Go on here").click()
    shown(page, 2)
    newer.get_by_role("heading", name="Reading goes on elsewhere").wait_for()
    page.keyboard.press("1")
    shown(page, 3)
    until(lambda: scores() == [5, 1])


def test_an_older_page_on_another_computer_is_told_and_its_answer_kept(page, chromium, reader, open_reading):
    reading = factories_taking.study([reader])
    open_reading(page, reading)
    shown(page, 1)
    elsewhere = chromium.new_context(viewport={"width": 1280, "height": 800})
    newer = elsewhere.new_page()
    open_reading(newer, reading)
    shown(newer, 1)
    newer.keyboard.press("4")
    shown(newer, 2)
    page.keyboard.press("1")
    page.get_by_role("heading", name="Reading goes on elsewhere").wait_for()
    until(lambda: scores() == [4])
    (kept,) = PlaceEvent.objects.filter(kind="answer_set_aside")
    assert kept.detail["answers"]["real_or_synthetic"]["score"] == 1
    elsewhere.close()


def test_a_pause_ends_on_another_computer(page, chromium, reader, open_reading, check_accessibility):
    reading = factories_taking.study([reader])
    open_reading(page, reading)
    shown(page, 1)
    page.keyboard.press("4")
    shown(page, 2)
    page.keyboard.press("Escape")
    page.get_by_role("heading", name="Paused").wait_for()
    check_accessibility(page)
    assert page.evaluate("() => document.activeElement.textContent") == "Go on reading"
    until(lambda: reading.places.get().state == "paused")
    elsewhere = chromium.new_context(viewport={"width": 1280, "height": 800})
    other = elsewhere.new_page()
    open_reading(other, reading)
    shown(other, 2)
    assert reading.places.get().state == "reading"
    other.keyboard.press("5")
    shown(other, 3)
    elsewhere.close()
    page.keyboard.press("Enter")
    shown(page, 3)
    page.keyboard.press("1")
    shown(page, 4)
    until(lambda: scores() == [4, 5, 1])


def test_a_practice_image_says_what_it_was(page, reader, open_reading, check_accessibility):
    open_reading(page, factories_taking.study([reader], roles={0: "training"}))
    shown(page, 1)
    assert page.get_by_text("Practice", exact=True).is_visible()
    page.keyboard.press("5")
    page.get_by_text("This image is real.").wait_for()
    check_accessibility(page)
    page.keyboard.press("4")  # the answer stands
    page.keyboard.press("Enter")
    shown(page, 2)
    assert not page.get_by_text("Practice", exact=True).is_visible()
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
    (chosen,) = page.locator(".target[aria-pressed=true]").all_inner_texts()
    assert chosen.endswith("Probably real")
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
    assert viewport.get_attribute("data-slice") == "2"
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


@pytest.mark.parametrize("window", ["free", "fixed"])
def test_the_window_is_free_or_fixed(page, reader, open_reading, window):
    open_reading(page, factories_taking.study([reader], window=window))
    shown(page, 1)
    viewport = page.locator("[data-viewport]")
    assert viewport.get_attribute("data-window") == "40/400"
    drag(page)
    page.keyboard.press("w")
    drag(page)
    page.keyboard.down("Control")
    drag(page)
    page.keyboard.up("Control")
    changed = viewport.get_attribute("data-window") != "40/400"
    assert changed == (window == "free")
    assert page.locator("[data-action='tool.window']").count() == (window == "free")
    page.keyboard.press("f")
    page.locator('[data-viewport][data-window="40/400"]').wait_for()
    page.keyboard.press("4")
    shown(page, 2)
    until(ViewingLog.objects.exists)
    assert (len(ViewingLog.objects.get().log["windows"]) > 1) == changed


def test_an_image_that_does_not_load_says_so_and_is_tried_again(
    page, reader, open_reading, check_accessibility
):
    page.route("**/frames/*", lambda route: route.abort())
    open_reading(page, factories_taking.study([reader]))
    page.get_by_text("This image could not be loaded.").wait_for()
    check_accessibility(page)
    page.keyboard.press("4")
    page.unroute("**/frames/*")
    page.get_by_role("button", name="Try again").click()
    shown(page, 1)
    assert looks_like(page, factories_taking.picture(0)[0])
    page.keyboard.press("4")
    shown(page, 2)
    until(lambda: scores() == [4])


def test_a_reader_signed_out_meanwhile_signs_in_again_and_loses_nothing(page, reader, open_reading, sign_in):
    open_reading(page, factories_taking.study([reader]))
    shown(page, 1)
    Session.objects.all().delete()
    page.keyboard.press("4")
    page.get_by_text("1 answer is waiting to be sent. You are signed out.").wait_for()
    sign_in(page, reader)
    until(lambda: scores() == [4])  # it is tried again and again; "Send now" only hastens it
    shown(page, 2)


def test_the_lead_closes_while_somebody_reads(page, reader, open_reading):
    reading = factories_taking.study([reader])
    open_reading(page, reading)
    shown(page, 1)
    type(reading).objects.update(state="closed")
    page.keyboard.press("4")
    page.get_by_text("The study has been closed. You answered 0 of 4 images").wait_for()
    assert PlaceEvent.objects.filter(kind="answer_set_aside").count() == 1


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
    marks = page.evaluate(
        """() => ['item-answered', 'item-shown'].map((name) =>
            performance.getEntriesByName(name).map((one) => [one.detail, one.startTime]))"""
    )
    answered, came = (dict(map(tuple, one)) for one in marks)
    waits = sorted(came[position + 1] - answered[position] for position in answered)
    middle, longest = waits[len(waits) // 2], waits[-1]
    with capsys.disabled():
        print(f"\nitem to item: median {middle:.0f} ms, longest {longest:.0f} ms, n = {len(waits)}")
    assert middle < 1000
