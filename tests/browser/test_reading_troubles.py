"""What goes wrong while somebody reads: no connection, two tabs, slips, a closed study; no answer is lost."""

import json

from django.contrib.sessions.models import Session
from playwright.sync_api import expect

from tests import factories_taking
from tests.browser.reading import loaded_ahead, looks_like, scores, shown, until
from webapp.readings.models import PlaceEvent


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


def test_an_older_page_on_another_computer_is_told_and_its_answer_kept(
    page, another_machine, reader, open_reading
):
    reading = factories_taking.study([reader])
    open_reading(page, reading)
    shown(page, 1)
    newer = another_machine()
    open_reading(newer, reading)
    shown(newer, 1)
    newer.keyboard.press("4")
    shown(newer, 2)
    page.keyboard.press("1")
    page.get_by_role("heading", name="Reading goes on elsewhere").wait_for()
    until(lambda: scores() == [4])
    (kept,) = PlaceEvent.objects.filter(kind="answer_set_aside")
    assert kept.detail["answers"]["real_or_synthetic"]["score"] == 1


def test_a_pause_ends_on_another_computer(page, another_machine, reader, open_reading, check_accessibility):
    reading = factories_taking.study([reader])
    open_reading(page, reading)
    shown(page, 1)
    page.keyboard.press("4")
    shown(page, 2)
    page.keyboard.press("Escape")
    page.get_by_role("heading", name="Paused").wait_for()
    check_accessibility(page)
    expect(page.get_by_role("button", name="Go on reading")).to_be_focused()
    until(lambda: reading.places.get().state == "paused")
    other = another_machine()
    open_reading(other, reading)
    shown(other, 2)
    assert reading.places.get().state == "reading"
    other.keyboard.press("5")
    shown(other, 3)
    other.close()
    page.keyboard.press("Enter")
    shown(page, 3)
    page.keyboard.press("1")
    shown(page, 4)
    until(lambda: scores() == [4, 5, 1])


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
    open_reading(page, factories_taking.study([reader], items=3))
    shown(page, 1)
    # Nothing else is on its way: an answer to whoever is signed out takes the cookie of a newer session too.
    loaded_ahead(page, 2)
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
