"""QIDO-RS: filters, further fields, paging."""

import pytest

from tests import factories
from tests.integration.dicomweb.addresses import series_address

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 1),
        ("?Modality=CT", 1),
        ("?00080060=MR", 0),
        ("?SeriesDescription=*", 1),
        ("?limit=0", 0),
        ("?offset=1", 0),
        ("?limit=1&offset=0&fuzzymatching=true", 1),
        ("?SeriesInstanceUID=1.2.3", 0),
    ],
)
def test_series_are_searched_by_their_attributes(shared_case, browser, query, count):
    response = browser.get(f"/dicomweb/series{query}")
    assert response.status_code == 200
    assert len(response.json()) == count
    assert ("Warning" in response) == ("fuzzy" in query)


def test_a_list_of_uids_matches_any_of_them(shared_case, browser):
    uids = [one.sop_instance_uid for one in shared_case.instances.all()[:2]]
    found = browser.get("/dicomweb/instances", {"SOPInstanceUID": ",".join(uids)}).json()
    assert {item["00080018"]["Value"][0] for item in found} == set(uids)


def test_further_fields_are_named_by_tag_or_keyword(shared_case, browser):
    address = series_address(shared_case, "instances")
    plain = browser.get(address).json()[0]
    assert "00280030" not in plain
    asked = browser.get(address, {"includefield": "PixelSpacing,00180050"}).json()[0]
    assert {"00280030", "00180050"} <= set(asked)
    everything = browser.get(address, {"includefield": "all"}).json()[0]
    assert set(everything) > set(asked)


@pytest.mark.parametrize("query", ["NoSuchAttribute=1", "limit=many", "offset=-1", "includefield=Nonsense"])
def test_a_search_that_makes_no_sense_is_400_and_says_why(shared_case, browser, query):
    response = browser.get(f"/dicomweb/studies?{query}")
    assert response.status_code == 400
    assert response.json()["detail"]


def test_studies_of_several_series_are_counted_whole(reader, browser):
    dataset = factories.dataset(shares={reader: "view"})
    factories.case(dataset=dataset)
    factories.case(dataset=dataset, slices=2)
    assert len(browser.get("/dicomweb/studies").json()) == 2
    assert [len(browser.get(f"/dicomweb/studies?limit=1&offset={n}").json()) for n in range(3)] == [1, 1, 0]
