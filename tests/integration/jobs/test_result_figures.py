"""What a result shows beyond its image: the uncertainty map, the nearest training case, the severity read."""

from __future__ import annotations

import io
import json
import zlib
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import reverse
from PIL import Image
from pydicom import dcmread

from tests import factories
from tests.stored import unpacked
from webapp.core.errors import ApplicationError
from webapp.jobs.downloads import result_download
from webapp.jobs.estimates import calls_of
from webapp.jobs.models import Uncertainty
from webapp.jobs.nearest import nearest_of
from webapp.jobs.uncertainty import uncertainty_array, uncertainty_config

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]

NEAR = {
    "case": "phantom 12",
    "distance": 3.9,
    "closer_than_training": 0.61,
    "closer_than_held_out": 0.6,
    "held_out": 512,
    "threshold": 2.79,
    "threshold_share": 0.99,
    "training_cases": 10240,
}


@pytest.fixture
def result(clinician: Any) -> Any:
    return factories.result(clinician)


def test_the_map_goes_along_as_dicom_and_as_nifti(result: Any, clinician: Any) -> None:
    found = factories.uncertainty(result, top=40.0)
    expected = uncertainty_array(found)
    assert expected[0, -1] == pytest.approx(40.0, abs=0.01)
    dicom = unpacked(result_download(user=clinician, result=result, form="dicom"))
    written = dcmread(io.BytesIO(dicom["uncertainty-map.dcm"]))
    assert written.SOPClassUID.name == "Parametric Map Storage"
    assert np.array_equal(written.pixel_array, expected)
    (mapping,) = written.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "[hnsf'U]"
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1.0, 0.0)
    image = dcmread(io.BytesIO(dicom["image-0001.dcm"]))
    assert written.FrameOfReferenceUID == image.FrameOfReferenceUID
    assert (written.SyntheticData, written.ContentQualification) == ("YES", "RESEARCH")
    assert "SYNTHETIC" in written.SeriesDescription
    again = unpacked(result_download(user=clinician, result=result, form="dicom"))
    assert again["uncertainty-map.dcm"] == dicom["uncertainty-map.dcm"]
    nifti = unpacked(result_download(user=clinician, result=result, form="nifti"))
    volume = nib.Nifti1Image.from_bytes(nifti["uncertainty.nii"])
    image = nib.Nifti1Image.from_bytes(nifti["image.nii"])
    assert np.array_equal(np.asarray(volume.dataobj)[:, :, 0].T, expected)
    assert np.array_equal(volume.affine, image.affine)
    assert b"SYNTHETIC" in bytes(volume.header["descrip"])
    assert json.loads(nifti["recipe.json"])["uncertainty"]["probes"] == 32


def test_without_a_map_nothing_is_said_of_one(result: Any, clinician: Any, client: Client) -> None:
    client.force_login(clinician)
    text = client.get(reverse("jobs:result-detail", args=[result.pk])).content.decode()
    assert "Uncertainty map" not in text
    assert "heat.toggle" not in text
    assert client.get(reverse("jobs:result-uncertainty", args=[result.pk])).status_code == 404
    assert "uncertainty-map.dcm" not in unpacked(result_download(user=clinician, result=result, form="dicom"))
    assert client.get(f"/api/v1/results/{result.pk}/").json()["uncertainty"] is None


def test_the_viewer_and_the_interface_get_the_map(result: Any, clinician: Any, client: Client) -> None:
    found = factories.uncertainty(result, top=37.0)
    client.force_login(clinician)
    config = uncertainty_config(result)
    assert config is not None
    assert config["top"] == 40.0  # the next round number
    assert config["unit"] == "HU"
    answer = client.get(config["url"])
    values = np.frombuffer(zlib.decompress(answer.content), "<u2").reshape(config["shape"][1:])
    assert np.abs(values * config["scale"] - uncertainty_array(found)).max() < 1e-3
    text = client.get(reverse("jobs:result-detail", args=[result.pk])).content.decode()
    assert "How far each pixel may still differ" in text
    assert "heat.toggle" in text
    summary = client.get(f"/api/v1/results/{result.pk}/").json()["uncertainty"]
    assert (summary["unit"], summary["t"], summary["probes"]) == ("HU", 0.7, 32)


def test_the_map_goes_when_its_result_goes(result: Any) -> None:
    factories.uncertainty(result)
    result.delete()
    assert Uncertainty.objects.count() == 0


def test_a_map_is_refused_under_guidance_and_costs_what_is_said(clinician: Any) -> None:
    wish = {"phantom_seed": 1, "condition": {"modality": "CT"}, "uncertainty": True}
    guided = {**wish, "sampler": {"name": "rft", "steps": 4, "guidance": 2.0}}
    with pytest.raises(ApplicationError, match="guidance 1 only") as refused:
        factories.synthesis_request(clinician, parameters=guided)
    assert refused.value.field == "guidance"
    with pytest.raises(ApplicationError, match="true or false"):
        factories.synthesis_request(clinician, parameters={**wish, "uncertainty": "perhaps"})
    medians = factories.generative_model()
    medians.recipe["training"] = {"objective": {"name": "region_contrast", "power": 1}}
    medians.save()
    with pytest.raises(ApplicationError, match="draws medians"):
        factories.synthesis_request(clinician, parameters=wish, model=medians)
    asked = factories.synthesis_request(clinician, parameters=wish)
    assert asked.parameters["uncertainty"] is True
    assert calls_of(asked.parameters, 2) == 2 * (4 + 64)
    plain = {**asked.parameters, "uncertainty": False}
    assert calls_of(plain, 2) == 2 * 4


def test_the_nearest_case_is_told_in_words_and_shown(result: Any, clinician: Any, client: Client) -> None:
    result.quality = {"nearest": NEAR}
    result.save()
    found = nearest_of(result)
    assert found is not None
    assert (
        found.sentence == "Closer to its nearest training case than 60 % of held-out phantoms are to theirs."
    )
    assert not found.is_near
    client.force_login(clinician)
    text = client.get(reverse("jobs:result-detail", args=[result.pk])).content.decode()
    assert found.sentence in text
    assert "phantom 12" in text
    answer = client.get(reverse("jobs:result-nearest", args=[result.pk]))
    picture = Image.open(io.BytesIO(answer.content))
    assert answer.headers["Content-Type"] == "image/png"
    assert picture.size == (256, 256)
    assert np.asarray(picture.convert("L")).std() > 20


def test_a_copy_is_called_one(result: Any) -> None:
    result.quality = {"nearest": {**NEAR, "distance": 0.4, "closer_than_held_out": 1.0}}
    found = nearest_of(result)
    assert found is not None
    assert found.is_near
    assert "compare both pictures" in found.meaning


@pytest.mark.parametrize(
    ("why", "words"), [("no index", "without an index"), ("other judge", "another network"), ("?", "read")]
)
def test_an_unknown_nearest_case_is_said_to_be_unknown(
    result: Any, clinician: Any, client: Client, why: str, words: str
) -> None:
    result.quality = {"nearest": {"why": why}}
    result.save()
    found = nearest_of(result)
    assert found is not None
    assert words in found.sentence
    assert not found.has_picture
    client.force_login(clinician)
    assert client.get(reverse("jobs:result-nearest", args=[result.pk])).status_code == 404


def test_the_adapters_own_cases_are_said_to_be_missing(result: Any) -> None:
    result.quality = {"nearest": {**NEAR, "adapted": True}}
    found = nearest_of(result)
    assert found is not None
    assert "adapter's own training cases" in found.meaning


def test_the_measured_severity_stands_beside_what_was_asked(
    result: Any, clinician: Any, client: Client
) -> None:
    client.force_login(clinician)
    page = reverse("jobs:result-detail", args=[result.pk])
    assert "Severity as measured" not in client.get(page).content.decode()
    result.quality = {"severity": {"asked": 3.0, "level": 1.04, "read": "low", "shares": [0, 0.96, 0.04, 0]}}
    result.save()
    text = client.get(page).content.decode()
    assert "Level 1.04 of 3, read as “Low”; asked for: Severe cirrhosis." in text


def test_nothing_of_a_map_lies_in_the_storage(result: Any) -> None:
    """The map lives in its row, so that no file outlives it."""
    before = default_storage.listdir("")
    factories.uncertainty(result)
    assert default_storage.listdir("") == before
