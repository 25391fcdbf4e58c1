"""The REST interface as a program meets it: tokens, pages, problem documents, 202 and Location, files."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import nibabel as nib
import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.urls import reverse
from pydicom import dcmread
from rest_framework.test import APIClient

from tests import factories
from webapp.cases.models import Mask
from webapp.cases.nifti import case_to_nifti, mask_to_nifti
from webapp.cases.selectors import case_slice, mask_array
from webapp.jobs.models import Job, Result, SynthesisRequest

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]
ApiOf = Callable[[Any], APIClient]
PROBLEM = "application/problem+json"


def at(view: str, *arguments: Any) -> str:
    return reverse(f"api:{view}", args=arguments)


# --- signing in and errors


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Token", "Bearer a b"])
def test_without_a_good_token_the_answer_is_401(header: str) -> None:
    client = APIClient()
    if header:
        client.credentials(HTTP_AUTHORIZATION=header)
    answer = client.get(at("dataset-list"))
    assert answer.status_code == 401
    assert answer["Content-Type"] == PROBLEM
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_the_token_that_the_command_prints_is_let_in(capsys: pytest.CaptureFixture[str]) -> None:
    person = factories.person("researcher")
    call_command("create_api_token", person.username)
    plaintext = capsys.readouterr().out.strip().split()[-1]
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {plaintext}")
    assert client.get(at("dataset-list")).status_code == 200


def test_what_is_not_visible_is_a_problem_document(api_of: ApiOf) -> None:
    client = api_of(factories.person("clinician"))
    for address in (at("case-detail", factories.case().pk), at("case-detail", uuid4())):
        answer = client.get(address)
        assert answer.status_code == 404
        assert answer["Content-Type"] == PROBLEM
        assert answer.json()["code"] == "not_found"
        assert answer.json()["instance"] == address


def test_unreadable_json_and_wrong_methods_are_problem_documents(api_of: ApiOf) -> None:
    client = api_of(factories.person("clinician"))
    broken = client.generic("POST", at("request-list"), "{", content_type="application/json")
    assert (broken.status_code, broken["Content-Type"]) == (400, PROBLEM)
    wrong = client.delete(at("case-list"))
    assert (wrong.status_code, wrong["Content-Type"]) == (405, PROBLEM)
    odd = client.post(at("request-list"), b"x", content_type="text/csv")
    assert (odd.status_code, odd["Content-Type"]) == (415, PROBLEM)


# --- datasets, cases, masks


def test_datasets_are_made_listed_and_read(api_of: ApiOf) -> None:
    client = api_of(factories.person("data_manager"))
    made = client.post(at("dataset-list"), {"name": "Livers", "licence": "CC0"})
    assert made.status_code == 201
    assert client.get(made["Location"]).json()["name"] == "Livers"
    twice = client.post(at("dataset-list"), {"name": "Livers"})
    assert twice.status_code == 400
    assert twice.json()["errors"][0]["field"] == "name"
    listed = client.get(at("dataset-list")).json()["results"]
    assert [row["name"] for row in listed] == ["Livers"]


def test_lists_come_in_pages_that_lose_nothing(api_of: ApiOf) -> None:
    person = factories.person("data_manager")
    for number in range(7):
        factories.dataset(person, name=f"D{number}")
    client = api_of(person)
    names, address = [], at("dataset-list") + "?page_size=3"
    while address:
        page = client.get(address).json()
        assert len(page["results"]) <= 3
        names += [row["name"] for row in page["results"]]
        address = page["next"]
        factories.dataset(person)  # what is added meanwhile shifts no page
    assert names == [f"D{number}" for number in reversed(range(7))]


def test_a_case_is_mended_by_those_who_manage_it(api_of: ApiOf) -> None:
    person = factories.person("data_manager")
    case = factories.case(dataset=factories.dataset(owner=person), attributes={"age": 61})
    client = api_of(person)
    answer = client.patch(at("case-detail", case.pk), {"modality": "mr"}, format="json")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["modality"], body["units"], body["attributes"]["age"]) == ("MR", "signal", 61)
    refused = client.patch(
        at("case-detail", case.pk), {"attributes": {"patient_name": "Miller"}}, format="json"
    )
    assert (refused.status_code, refused.json()["code"]) == (400, "may_identify")
    case.refresh_from_db()
    assert case.attributes["age"] == 61


def test_cases_are_filtered_as_the_person_may(api_of: ApiOf) -> None:
    person = factories.person("clinician")
    mine = factories.dataset(shares={person: "view"})
    case = factories.case(dataset=mine, name="Anna")
    factories.case(dataset=mine, name="Berta")
    hidden = factories.case()
    client = api_of(person)
    assert len(client.get(at("case-list")).json()["results"]) == 2
    found = client.get(at("case-list"), {"dataset": mine.pk, "search": "ann"}).json()["results"]
    assert [row["id"] for row in found] == [str(case.pk)]
    assert found[0]["modality"] == "CT"
    assert client.get(at("case-list"), {"dataset": hidden.dataset.pk}).status_code == 404
    assert client.get(at("case-list"), {"dataset": "x"}).json()["errors"][0]["field"] == "dataset"
    assert not client.get(at("case-list"), {"modality": "MR"}).json()["results"]


def test_an_import_is_handed_in(api_of: ApiOf) -> None:
    person = factories.person("data_manager")
    dataset = factories.dataset(person)
    file = SimpleUploadedFile("one.dcm", factories.ct_files()[0])
    client = api_of(person)
    answer = client.post(at("dataset-imports", dataset.pk), {"files": [file]}, format="multipart")
    assert answer.status_code == 202, answer.content
    job = client.get(answer["Location"]).json()
    assert (job["kind"], job["state"]) == ("import_cases", "queued")
    assert client.get(answer.json()["url"]).json()["state"] == "waiting"
    nothing = client.post(at("dataset-imports", dataset.pk), {}, format="multipart")
    assert nothing.json()["errors"][0]["field"] == "files"


@pytest.fixture
def annotated() -> tuple[Any, Any]:
    """A person, and a case of three slices that they may annotate."""
    person = factories.person("clinician")
    return person, factories.case(dataset=factories.dataset(shares={person: "annotate"}), slices=3)


def painted(case: Any) -> np.ndarray:
    """A label map without any symmetry that could hide a flipped axis."""
    array = np.zeros((case.slice_count, case.rows, case.columns), np.uint16)
    array[0, 3:9, 20:50] = 6
    array[1, 60:61, 5:7] = 300
    return array


LABELS = json.dumps(
    [{"value": 6, "name": "liver", "color": "#aa5500"}, {"value": 300, "name": "x", "color": "#00aa55"}]
)


def upload(client: APIClient, case: Any, content: bytes, **fields: Any) -> Any:
    values = {
        "case": case.pk,
        "name": "Liver",
        "labels": LABELS,
        "file": SimpleUploadedFile("m.nii.gz", content),
    }
    return client.post(at("mask-list"), values | fields, format="multipart")


def test_a_mask_goes_up_and_comes_down_the_same(api_of: ApiOf, annotated: tuple[Any, Any]) -> None:
    person, case = annotated
    made = factories.mask(case, person, name="First")
    reference = nib.Nifti1Image.from_bytes(mask_to_nifti(made))
    array = painted(case)
    sent = nib.Nifti1Image(np.ascontiguousarray(array.transpose(2, 1, 0)), reference.affine).to_bytes()
    client = api_of(person)
    answer = upload(client, case, gzip.compress(sent))
    assert answer.status_code == 201, answer.content
    mask = Mask.objects.get(pk=answer.json()["id"])
    assert np.array_equal(mask_array(mask), array)
    back = client.get(answer.json()["content"])
    image = nib.Nifti1Image.from_bytes(gzip.decompress(back.content))
    assert np.array_equal(np.asanyarray(image.dataobj), array.transpose(2, 1, 0))
    assert np.allclose(image.affine, reference.affine)
    listed = client.get(at("mask-list"), {"case": case.pk}).json()
    assert {row["name"] for row in listed} == {"First", "Liver"}


@pytest.mark.parametrize("codes", [("L", "P", "S"), ("R", "A", "S"), ("S", "L", "P"), ("A", "I", "R")])
def test_the_axes_of_an_uploaded_mask_may_lie_in_any_direction(
    api_of: ApiOf, annotated: tuple[Any, Any], codes: tuple[str, ...]
) -> None:
    person, case = annotated
    array = painted(case)
    affine = nib.Nifti1Image.from_bytes(case_to_nifti(case)).affine
    image = nib.Nifti1Image(array.transpose(2, 1, 0), affine)
    turn = nib.orientations.ornt_transform(nib.io_orientation(affine), nib.orientations.axcodes2ornt(codes))
    answer = upload(api_of(person), case, image.as_reoriented(turn).to_bytes())
    assert answer.status_code == 201, answer.content
    assert np.array_equal(mask_array(Mask.objects.get(pk=answer.json()["id"])), array)


def test_masks_that_do_not_fit_are_refused_in_words(api_of: ApiOf, annotated: tuple[Any, Any]) -> None:
    person, case = annotated
    affine = nib.Nifti1Image.from_bytes(case_to_nifti(case)).affine
    array = painted(case).transpose(2, 1, 0)
    moved, scaled = affine.copy(), affine.copy()
    moved[0, 3] += 5
    scaled[:3, 0] *= 1.1
    client = api_of(person)
    for content, words in (
        (b"no file", "not a NIfTI file"),
        (gzip.compress(b"no file"), "not a NIfTI file"),
        (nib.Nifti1Image(array, moved).to_bytes(), "not those of the case"),
        (nib.Nifti1Image(array, scaled).to_bytes(), "not those of the case"),
        (nib.Nifti1Image(array[:, :, :2], affine).to_bytes(), "not those of the case"),
        (nib.Nifti1Image(array[..., 0], affine).to_bytes(), "axes instead of three"),
        (nib.Nifti1Image(array.astype(np.float32) + 0.5, affine).to_bytes(), "not whole numbers"),
        (nib.Nifti1Image(array.astype(np.int16) - 1, affine).to_bytes(), "0 to 65535"),
        (nib.Nifti1Image(array, affine).to_bytes()[:-100], "not a NIfTI file"),
    ):
        answer = upload(client, case, content)
        assert answer.status_code == 400
        assert words in answer.json()["detail"]
        assert answer.json()["errors"][0]["field"] == "file"
    assert not Mask.objects.exists()


def test_a_viewer_may_not_upload_a_mask(api_of: ApiOf) -> None:
    person = factories.person("clinician")
    case = factories.case(dataset=factories.dataset(shares={person: "view"}), slices=2)
    content = nib.Nifti1Image(painted(case).transpose(2, 1, 0), np.eye(4)).to_bytes()
    assert upload(api_of(person), case, content).status_code == 403


def test_the_raw_form_of_a_mask(api_of: ApiOf, annotated: tuple[Any, Any]) -> None:
    import zlib

    person, case = annotated
    mask = factories.mask(case, person)
    client = api_of(person)
    raw = b"".join(client.get(at("mask-content", mask.pk), {"form": "raw"}).streaming_content)
    assert np.array_equal(np.frombuffer(zlib.decompress(raw), "<u2").reshape(mask.shape), mask_array(mask))
    assert client.get(at("mask-content", mask.pk), {"form": "png"}).status_code == 400


# --- models, requests, jobs, results


def test_a_model_is_handed_in_for_installation(api_of: ApiOf) -> None:
    client = api_of(factories.person("data_manager"))
    file = SimpleUploadedFile("model.safetensors", b"x" * 64)
    answer = client.post(at("model-list"), {"weights": file}, format="multipart")
    assert answer.status_code == 202
    assert client.get(answer["Location"]).json()["kind"] == "install_model"


BODY = {"parameters": {"phantom_seed": 3, "condition": {"modality": "CT", "severity": "severe"}}, "count": 2}


def test_a_request_is_handed_in_and_followed(api_of: ApiOf) -> None:
    person = factories.person("researcher")
    model = factories.generative_model()
    client = api_of(person)
    answer = client.post(at("request-list"), BODY | {"model": str(model.pk), "seed": 11}, format="json")
    assert answer.status_code == 202, answer.content
    job = client.get(answer["Location"]).json()
    assert (job["kind"], job["state"], job["queue_position"]) == ("synthesise", "queued", 0)
    assert job["request"] == answer.json()["url"]
    body = client.get(answer.json()["url"]).json()
    assert (body["seed"], body["count"]) == (11, 2)
    assert body["parameters"]["condition"]["severity"] == "severe"
    assert body["jobs"] == [answer["Location"]]
    assert [row["id"] for row in client.get(at("request-list")).json()["results"]] == [body["id"]]
    again = client.post(at("request-again", body["id"]), {"seed": 12}, format="json")
    assert again.status_code == 202
    assert client.get(again.json()["url"]).json()["seed"] == 12


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model": None}, "model"),
        ({"parameters": {}}, "parameters.condition"),
        ({"parameters": {"condition": {"modality": "PET"}}}, "parameters.condition.modality"),
        ({"count": 0}, "count"),
        ({"count": 1000}, "count"),
        ({"seed": -1}, "seed"),
        (
            {"parameters": {"condition": {"modality": "CT"}, "sampler": {"steps": 0}}},
            "parameters.sampler.steps",
        ),
    ],
)
def test_what_cannot_be_asked_for_names_its_field(api_of: ApiOf, change: dict[str, Any], field: str) -> None:
    client = api_of(factories.person("researcher"))
    model = factories.generative_model()
    answer = client.post(at("request-list"), BODY | {"model": str(model.pk)} | change, format="json")
    assert answer.status_code == 400
    assert field in {error["field"] for error in answer.json()["errors"]}, answer.json()
    assert not SynthesisRequest.objects.exists()


def test_another_persons_case_cannot_be_asked_for(api_of: ApiOf) -> None:
    client = api_of(factories.person("researcher"))
    body = BODY | {"model": str(factories.generative_model().pk), "case": str(factories.case().pk)}
    assert client.post(at("request-list"), body, format="json").status_code == 404


def test_a_job_is_cancelled_and_tried_again(api_of: ApiOf) -> None:
    person = factories.person("clinician")
    job = factories.synthesis_request(person).jobs.get()
    client = api_of(person)
    early = client.post(at("job-retry", job.pk))
    assert (early.status_code, early["Content-Type"]) == (409, PROBLEM)
    assert client.post(at("job-cancel", job.pk)).json()["state"] == "cancelled"
    assert client.post(at("job-cancel", job.pk)).status_code == 409
    again = client.post(at("job-retry", job.pk))
    assert again.status_code == 202
    newer = client.get(again["Location"]).json()
    assert newer["retry_of"] == f"http://testserver{at('job-detail', job.pk)}"
    states = {
        state: client.get(at("job-list"), {"state": state}).json()["results"]
        for state in ("queued", "failed")
    }
    assert [len(rows) for rows in states.values()] == [1, 0]
    assert client.get(at("job-list"), {"state": "lost"}).status_code == 400


def test_a_full_quota_says_so(api_of: ApiOf, settings: Any) -> None:
    settings.JOB_QUOTA = 1
    person = factories.person("clinician")
    client = api_of(person)
    body = BODY | {"model": str(factories.generative_model().pk)}
    assert client.post(at("request-list"), body, format="json").status_code == 202
    full = client.post(at("request-list"), body, format="json")
    assert (full.status_code, full.json()["code"]) == (429, "quota_reached")
    assert Job.objects.count() == 1


def unzipped(answer: Any) -> dict[str, bytes]:
    """The files of a downloaded zip, by name without its folder."""
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    return {name.rpartition("/")[2]: archive.read(name) for name in archive.namelist()}


def test_results_are_read_judged_and_downloaded(api_of: ApiOf) -> None:
    person = factories.person("clinician")
    result = factories.result(person, recipe={"seed": 7, "steps": 4})
    client = api_of(person)
    body = client.get(at("result-detail", result.pk)).json()
    assert body["recipe"] == {"seed": 7, "steps": 4}
    judged = client.put(
        at("result-decision", result.pk), {"decision": "rejected", "note": "ribs"}, format="json"
    )
    assert (judged.json()["decision"], judged.json()["decision_note"]) == ("rejected", "ribs")
    assert judged.json()["decided_by"] == person.username
    assert (
        client.put(at("result-decision", result.pk), {"decision": "maybe"}, format="json").status_code == 400
    )

    files = unzipped(client.get(body["download"]))
    images = sorted(name for name in files if name.startswith("image-"))
    assert len(images) == result.case.slice_count
    stored = dcmread(io.BytesIO(files[images[0]]))
    assert stored.SOPInstanceUID == result.case.instances.get(number=1).sop_instance_uid
    segmentation = dcmread(io.BytesIO(files["mask-seg.dcm"]))
    assert segmentation.Modality == "SEG"
    assert json.loads(files["recipe.json"])["pixel_sha256"] == result.pixel_sha256
    assert b"Not for clinical use" in files["SYNTHETIC.txt"]

    files = unzipped(client.get(body["download"], {"form": "nifti"}))
    image = nib.Nifti1Image.from_bytes(files["image.nii"])
    assert b"SYNTHETIC" in bytes(image.header["descrip"])
    assert np.array_equal(np.asanyarray(image.dataobj)[..., 0].T, case_slice(result.case, 0).array)
    assert client.get(body["download"], {"form": "png"}).status_code == 400


def test_a_result_is_made_again(api_of: ApiOf) -> None:
    person = factories.person("clinician")
    result = factories.result(person)
    answer = api_of(person).post(at("result-again", result.pk))
    assert answer.status_code == 202
    assert Job.objects.filter(kind="reproduce", subject_id=result.pk).exists()
    assert Result.objects.count() == 1
