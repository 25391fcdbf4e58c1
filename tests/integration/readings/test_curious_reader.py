"""A reader who tries every address, method, header and query for the truth, and finds none of it."""

import itertools
import uuid
from collections.abc import Iterator
from contextlib import suppress

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

from tests import factories_readings
from tests.integration.readings.taking import Browser
from webapp.core.models import AuditEvent
from webapp.readings.models import Assignment, ItemTruth
from webapp.readings.serving.uids import uids_of

pytestmark = pytest.mark.django_db

TRUTH_TABLES = ("readings_itemtruth", "readings_preparation", "readings_readingreport")
OTHER_TABLES = ("jobs_", "cases_", "registry_", "core_auditevent")
METHODS = ("get", "post", "delete", "options")
LOG = {
    "seconds": 1,
    "away": 0,
    "slices": {"0": 1},
    "windows": [],
    "zoom": [1, 1],
    "screen": [900, 700, 1],
}


@pytest.fixture
def study(storage):
    return factories_readings.launched(3, 3, 2, training=1, attention=1)


@pytest.fixture
def reader(study):
    return study.readers[0]


@pytest.fixture
def browser(study, client_of, reader):
    return Browser(client_of(reader), study.reading.places.get(user=reader))


def secrets_of(study):
    """Every text by which an item could be told: where it came from, what it is called inside."""
    found = {str(study.reading.pk), study.reading.protocol["truth_sha256"], study.reading.protocol_sha256}
    for truth in ItemTruth.objects.filter(item__reading=study.reading).select_related(
        "item", "case", "result"
    ):
        found |= {str(truth.pk), str(truth.item_id), truth.item.pixels, truth.item.pixels_sha256}
        if truth.case:
            found |= {str(truth.case.pk), truth.case.name, truth.case.study_uid, truth.case.series_uid}
        if truth.result:
            found |= {str(truth.result.pk), str(truth.result.case_id), truth.result.pixel_sha256}
    return {text for text in found if text}


def leaked(response, secrets, address=""):
    """The secrets in an answer's body and headers, but for what the reader wrote into the address."""
    if response.streaming:
        body = b"".join(response.streaming_content).decode(errors="replace")
    else:
        body = response.content.decode(errors="replace")
    whole = body + "".join(f"{name}: {value}\n" for name, value in response.items())
    return {text for text in secrets if text in whole and text not in address}


def patterns(
    resolver: URLResolver, namespace: str = "", outer: dict | None = None
) -> Iterator[tuple[str, dict]]:
    """The name of every address and the converters of its arguments, those of its prefix too."""
    for pattern in resolver.url_patterns:
        converters = (outer or {}) | pattern.pattern.converters
        if isinstance(pattern, URLResolver):
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from patterns(pattern, inner, converters)
        elif isinstance(pattern, URLPattern) and pattern.name:
            yield f"{namespace}{pattern.name}", converters


def candidates(study, browser) -> dict[str, list]:
    """What a curious reader might put into an address, by the kind of argument."""
    truths = list(ItemTruth.objects.filter(item__reading=study.reading).select_related("case", "result"))
    real = next(truth for truth in truths if truth.case)
    made = next(truth for truth in truths if truth.result)
    case = real.case
    own = browser.place.assignments.order_by("position").first()
    foreign = Assignment.objects.exclude(place=browser.place).first()
    instance = case.instances.first()
    ids = [study.reading, browser.place, foreign.place, own.item, real, case, case.dataset, made.result]
    ids += [made.result.case, made.result.request, made.result.job, made.result.mask]
    uids = [case.study_uid, case.series_uid, instance.sop_instance_uid, *vars(uids_of(own.token)).values()]
    words = [own.token, foreign.token, "1", *uids[:2], "truth", made.result.request.model.name]
    return {
        "UUIDConverter": [one.pk for one in ids],
        "UidConverter": uids,
        "IntConverter": [1, own.pk],
        "StringConverter": words,
        "SlugConverter": words,
        "PathConverter": [own.item.pixels, f"../{own.item.pixels}", str(case.pk)],
    }


def addresses(study, browser) -> Iterator[tuple[str, str]]:
    """Every address of the site with every likely argument: (name, address)."""
    known = candidates(study, browser)
    for name, converters in patterns(get_resolver()):
        choices = [known.get(type(one).__name__, ["1"]) for one in converters.values()]
        for values in rows_of(choices):
            with suppress(NoReverseMatch):
                yield name, reverse(name, kwargs=dict(zip(converters, values)))


def rows_of(choices: list[list]) -> Iterator[tuple]:
    """Each candidate of one argument; of several, each beside two different ones of the others."""
    if len(choices) < 2:
        yield from itertools.product(*choices)
        return
    for shift in (0, 1):
        turned = [one[shift * index :] + one[: shift * index] for index, one in enumerate(choices)]
        longest = max(map(len, choices))
        yield from zip(*(itertools.islice(itertools.cycle(one), longest) for one in turned))


@pytest.mark.slow
def test_no_address_gives_a_reader_anything_of_the_truth(study, browser):
    browser.resume()
    secrets = secrets_of(study)
    found, seen, statuses, answered = {}, 0, {}, set()
    for name, address in addresses(study, browser):
        if name in {"accounts:logout", "core:healthz"}:
            continue
        response = browser.client.get(address)
        seen += 1
        if response.status_code == 200:
            answered.add(name)
        if response.status_code >= 500:
            statuses[address] = response.status_code
        if leaks := leaked(response, secrets, address):
            found[address] = leaks
    assert found == {}
    assert statuses == {}
    assert seen > 500
    assert answered >= {"readings:take-welcome", "readings:take-read", "readings:take-state"}


@pytest.mark.slow
def test_objects_of_the_study_do_not_exist_for_a_reader(study, browser):
    """Whatever is asked of a thing of the study is answered as if there were no such thing."""
    browser.resume()
    own = str(browser.place.pk)
    things = {text for text in secrets_of(study) if "-" in text} | {
        str(one.pk) for one in study.reading.places.exclude(pk=browser.place.pk)
    }
    answered = {}
    for name, address in addresses(study, browser):
        named = [text for text in things if text in address]
        if own in address or not named:
            continue
        for method in METHODS:
            status = asked(browser.client, method, address)
            if status in {404, 405}:
                continue
            nothing = address
            for text in named:
                nothing = nothing.replace(text, str(uuid.uuid4()))
            if status != asked(browser.client, method, nothing):
                answered[f"{method} {address}"] = (name, status)
    assert answered == {}


def asked(client, method, address):
    """The status of a request, with an empty JSON body where the method has one."""
    if method == "get":
        return client.get(address).status_code
    return getattr(client, method)(address, data="{}", content_type="application/json").status_code


def test_lists_and_searches_are_empty_for_a_reader(study, browser):
    browser.resume()
    get = browser.client.get
    for address in (
        "/dicomweb/studies",
        "/dicomweb/series?Modality=CT",
        "/dicomweb/instances?includefield=all&limit=50",
        "/dicomweb/studies?PatientName=*&fuzzymatching=true",
    ):
        response = get(address)
        assert response.status_code in {200, 204}
        assert response.status_code == 204 or response.json() == []
    for page in (
        "/",
        "/datasets/",
        "/jobs/",
        "/results/",
        "/models/",
        "/readings/",
        "/api/v1/cases/",
        "/api/v1/results/",
    ):
        response = get(page)
        assert leaked(response, secrets_of(study) - {str(study.reading.pk)}) == set(), page


HEADERS = [
    {"Range": "bytes=0-10"},
    {"If-None-Match": "*"},
    {"If-Modified-Since": "Wed, 21 Oct 2037 07:28:00 GMT"},
    {"Accept": "application/dicom+json, */*;q=0.1"},
    {"Accept": "text/html"},
    {"Accept": 'multipart/related; type="image/jp2"'},
    {"Accept-Encoding": "gzip, br"},
    {"HX-Request": "true"},
    {"X-Requested-With": "XMLHttpRequest"},
    {"X-HTTP-Method-Override": "OPTIONS"},
    {"Authorization": "Bearer sbl_nothing"},
]


def test_no_header_and_no_query_changes_what_is_served(study, browser):
    item = browser.resume().json()["items"][0]
    metadata = f"{item['series_url']}/metadata"
    plain = browser.client.get(metadata)
    for headers in HEADERS:
        more = browser.client.get(f"{metadata}?includefield=all&format=api&expand=truth", headers=headers)
        assert (more.status_code, more.content) == (200, plain.content)
        assert tuple(more.items()) == tuple(plain.items())
    state = browser.state(at=5, include="truth", fields="all")
    assert [one["token"] for one in state["items"]] == [one["token"] for one in browser.state()["items"]]


def test_storage_and_static_addresses_hold_nothing(study, browser):
    item = study.reading.items.first()
    for root in ("/storage/", "/media/", "/static/", "/var/", "/static/../var/storage/", "/readings/"):
        assert browser.client.get(f"{root}{item.pixels}").status_code in {400, 404}


def test_whoever_reads_never_makes_the_site_look_at_the_truth(study, browser):
    """All SQL of a whole reading, from the welcome page to the thanks."""
    take = browser.address
    get = browser.client.get
    with CaptureQueriesContext(
        connection,
    ) as context:
        get(take("welcome"))
        browser.client.post(take("welcome"), {"profession": "resident", "years": 3, "synthetic_seen": "some"})
        get(take("read"))
        state = browser.resume().json()
        for number in range(100):
            if state["phase"] != "reading":
                break
            item = state["items"][0]
            (described,) = get(f"{item['series_url']}/metadata").json()
            sop = described["00080018"]["Value"][0]
            get(f"{item['series_url']}/instances/{sop}/frames/1")
            get(f"{item['series_url']}/instances/{sop}/frames/9")
            get(take("state"), {"page": browser.page, "at": 0})
            body = {"submission": f"00000000-0000-4000-8000-{number:012d}", "log": LOG}
            browser.post(take("viewing", token=item["token"]), body)
            if number == 2:
                browser.pause()
                browser.resume()
            state = browser.rate(item["token"], 1 + number % 5).json()["state"]
            browser.rate(item["token"], 1)
        browser.finish()
        get(take("finish"))
    assert state["phase"] == "finished"
    statements = [query["sql"].lower() for query in context.captured_queries]
    assert len(statements) > 200
    for table in TRUTH_TABLES:
        assert not [sql for sql in statements if table in sql]
    for table in OTHER_TABLES:
        reads = [sql for sql in statements if table in sql and not sql.startswith("insert")]
        assert not reads, table
    assert AuditEvent.objects.filter(action="place.finished").count() == 1


def test_the_same_work_is_done_for_every_item(study, browser):
    """As many statements, of the same wording, whatever the item is."""
    state = browser.resume().json()
    seen = set()
    while state["phase"] == "reading":
        item = state["items"][0]
        series = item["series_url"]
        with CaptureQueriesContext(connection) as context:
            browser.client.get(f"{series}/metadata")
            browser.client.get(f"{series}/instances/{uids_of(item['token']).instance}/frames/1")
        seen.add(tuple(query["sql"].split("WHERE")[0][:80] for query in context.captured_queries))
        state = browser.rate(item["token"], 5).json()["state"]
    assert len(seen) == 1
