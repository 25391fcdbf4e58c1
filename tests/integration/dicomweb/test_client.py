"""dicomweb-client against a running server."""

import io

import numpy as np
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from django.core.files.storage import default_storage
from PIL import Image
from requests import Session

from tests import factories
from webapp.accounts.services import token_create


@pytest.fixture
def dicomweb(live_server, storage):
    """A person, and a dicomweb-client that carries their token."""
    person = factories.person("researcher")
    _, token = token_create(user=person, name="dicomweb")
    session = Session()
    session.headers["Authorization"] = f"Bearer {token}"
    return person, DICOMwebClient(url=f"{live_server.url}/dicomweb", session=session)


@pytest.mark.django_db(transaction=True)
def test_dicomweb_client_searches_and_retrieves(dicomweb):
    person, client = dicomweb
    case = factories.case(dataset=factories.dataset(shares={person: "view"}), slices=3)
    place = {"study_instance_uid": case.study_uid, "series_instance_uid": case.series_uid}

    (study,) = client.search_for_studies()
    assert study["0020000D"]["Value"] == [case.study_uid]
    assert study["00201208"]["Value"] == [3]
    (series,) = client.search_for_series(case.study_uid)
    assert series["00080060"]["Value"] == ["CT"]
    found = client.search_for_instances(**place)
    stored = list(case.instances.order_by("number"))
    assert [item["00080018"]["Value"][0] for item in found] == [one.sop_instance_uid for one in stored]

    retrieved = client.retrieve_series(**place)
    for dataset, instance in zip(retrieved, stored, strict=True):
        with default_storage.open(instance.file) as file:
            original = pydicom.dcmread(file)
        assert dataset.SOPInstanceUID == instance.sop_instance_uid
        np.testing.assert_array_equal(dataset.pixel_array, original.pixel_array)
        (frame,) = client.retrieve_instance_frames(
            **place, sop_instance_uid=instance.sop_instance_uid, frame_numbers=[1]
        )
        np.testing.assert_array_equal(
            np.frombuffer(frame, "<i2").reshape(original.Rows, original.Columns), original.pixel_array
        )

    metadata = client.retrieve_series_metadata(**place)
    assert [pydicom.Dataset.from_json(item).SOPInstanceUID for item in metadata] == [
        one.sop_instance_uid for one in stored
    ]
    assert all("7FE00010" not in item for item in metadata)
    one = client.retrieve_instance(**place, sop_instance_uid=stored[1].sop_instance_uid)
    assert one.SOPInstanceUID == stored[1].sop_instance_uid
    picture = client.retrieve_instance_rendered(
        **place, sop_instance_uid=stored[1].sop_instance_uid, media_types=("image/png",)
    )
    assert Image.open(io.BytesIO(picture)).size == (case.columns, case.rows)


@pytest.mark.django_db(transaction=True)
def test_dicomweb_client_finds_nothing_of_other_people(dicomweb):
    _, client = dicomweb
    hidden = factories.case()
    assert client.search_for_studies() == []
    with pytest.raises(Exception, match="404"):
        client.retrieve_series(hidden.study_uid, hidden.series_uid)
