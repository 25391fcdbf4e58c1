"""Who may see what: 404 for strangers, 401 for the signed out, at every address."""

import pytest

from tests import factories
from tests.integration.dicomweb.addresses import body_of, instance_address, series_address

pytestmark = pytest.mark.django_db


def all_addresses(case):
    study = f"/dicomweb/studies/{case.study_uid}"
    return [
        study,
        f"{study}/metadata",
        f"{study}/thumbnail",
        series_address(case),
        series_address(case, "metadata"),
        series_address(case, "thumbnail"),
        instance_address(case),
        instance_address(case, "metadata"),
        instance_address(case, "frames", "1"),
        instance_address(case, "frames", "1", "rendered"),
        instance_address(case, "frames", "1", "thumbnail"),
        instance_address(case, "rendered"),
        instance_address(case, "thumbnail"),
    ]


def test_a_person_who_may_not_see_a_case_is_told_that_there_is_nothing(shared_case, client_of):
    for role in factories.ROLES:
        stranger = client_of(factories.person(role))
        for address in all_addresses(shared_case):
            response = stranger.get(address)
            assert response.status_code == 404, address
            assert response["Content-Type"] == "application/problem+json"
        for search in ("studies", "series", "instances", f"studies/{shared_case.study_uid}/series"):
            assert stranger.get(f"/dicomweb/{search}").json() == []


def test_an_annotator_sees_no_case_even_of_a_shared_dataset(client_of, storage):
    annotator = factories.person("annotator")
    case = factories.case(dataset=factories.dataset(shares={annotator: "view"}))
    assert client_of(annotator).get(instance_address(case, "frames", "1")).status_code == 404


def test_the_signed_out_are_asked_to_sign_in(shared_case, client):
    for address in [*all_addresses(shared_case), "/dicomweb/studies"]:
        response = client.get(address)
        assert response.status_code == 401, address
        assert response.json()["status"] == 401


def test_a_share_opens_every_address(shared_case, browser):
    for address in all_addresses(shared_case):
        response = browser.get(address)
        assert response.status_code == 200, (address, response.content)
        assert body_of(response)
