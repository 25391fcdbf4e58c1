"""Datasets, shares and masks: what the services write, refuse and record."""

import io
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from tests import factories, hostile
from tests.integration.cases.conftest import outcomes, reason
from webapp.cases.models import Dataset, Mask
from webapp.cases.selectors import case_list_for, dataset_list_for, mask_array, mask_list_for_case
from webapp.cases.services import (
    case_create_from_dicom,
    case_update,
    dataset_create,
    dataset_share,
    dataset_update,
    mask_delete,
    mask_labels,
    mask_save,
)
from webapp.core.errors import ApplicationError, Conflict
from webapp.core.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.both]
LABELS = [{"value": 6, "name": "liver", "color": "#B5651D"}]


@pytest.fixture
def case(dataset: Dataset):
    """A case of two slices."""
    return factories.case(dataset=dataset, slices=2)


def values(case, value: int = 6) -> np.ndarray:
    """A mask of one rectangle."""
    array = np.zeros((case.slice_count, case.rows, case.columns), np.uint16)
    array[:, 3:7, 4:9] = value
    return array


def save(case, array=None, **changes) -> Mask:
    """Save a mask with usual details."""
    details = {"name": "Liver", "labels": LABELS, "origin": "painted"} | changes
    return mask_save(
        user=case.dataset.owner, case=case, array=values(case) if array is None else array, **details
    )


def test_a_dataset_needs_a_free_name(dataset) -> None:
    for name in ("", "   ", dataset.name.upper(), "x" * 121):
        with pytest.raises(ApplicationError) as caught:
            dataset_create(user=dataset.owner, name=name)
        assert caught.value.field == "name"
    other = dataset_create(user=dataset.owner, name="  Liver   CT ")
    assert (other.name, other.slug) == ("Liver CT", "liver-ct")
    with pytest.raises(ApplicationError):
        dataset_update(
            user=dataset.owner, dataset=other, name=dataset.name, description="", licence="", purpose=""
        )


def test_shares_are_refused_where_they_would_do_nothing(dataset) -> None:
    clinician, annotator = factories.person("clinician"), factories.person("annotator")
    for person, level in (
        (annotator, "view"),
        (clinician, "manage"),
        (dataset.owner, "view"),
        (clinician, "x"),
    ):
        with pytest.raises(ApplicationError):
            dataset_share(user=dataset.owner, dataset=dataset, person=person, level=level)
    dataset_share(user=dataset.owner, dataset=dataset, person=clinician, level="view")
    dataset_share(user=dataset.owner, dataset=dataset, person=clinician, level="annotate")
    assert list(dataset_list_for(user=clinician)) == [dataset]
    assert dataset.shares.get().level == "annotate"
    dataset_share(user=dataset.owner, dataset=dataset, person=clinician, level=None)
    assert not dataset_list_for(user=clinician)
    actions = list(AuditEvent.objects.filter(object_id=dataset.pk).values_list("action", flat=True))
    assert sorted(actions) == ["dataset.created", "dataset.shared", "dataset.shared", "dataset.unshared"]


def test_a_mask_comes_back_equal_and_each_save_is_a_version(case) -> None:
    first = save(case, expected_version=0)
    assert np.array_equal(mask_array(first), values(case))
    assert first.labels == [{"value": 6, "name": "liver", "color": "#b5651d"}]
    assert save(case).pk == first.pk
    second = save(case, values(case) * 0, expected_version=1)
    assert (first.version, second.version) == (1, 2)
    assert list(mask_list_for_case(case=case)) == [second]
    first.refresh_from_db()
    assert first.replaced_by == second
    with pytest.raises(Conflict):
        save(case, expected_version=1)
    assert case_list_for(user=case.dataset.owner).get().mask_count == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"array": np.zeros((1, 2, 3), np.uint16)},
        {"array": np.full((2, 128, 128), -1, np.int16)},
        {"array": np.full((2, 128, 128), 0.5)},
        {"labels": []},
        {"labels": [*LABELS, *LABELS]},
        {"labels": [{"value": 6, "name": ""}]},
        {"labels": [{"value": 6, "name": "x", "color": "red;"}]},
        {"labels": [{"value": 70_000, "name": "x"}]},
        {"name": " "},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_masks_that_make_no_sense_are_refused(case, storage: Path, changes) -> None:
    before = len(list(storage.rglob("*")))
    with pytest.raises(ApplicationError):
        save(case, **changes)
    assert not case.masks.exists()
    assert len(list(storage.rglob("*"))) == before


def test_labels_without_a_colour_get_one_that_nothing_else_has() -> None:
    own = mask_labels([{"value": 3, "name": "c"}])[0]["color"]
    labels = [{"value": value, "name": str(value)} for value in (1, 2, 3, 258)]
    labels.append({"value": 9, "name": "nine", "color": own.upper()})
    colors = {label["value"]: label["color"] for label in mask_labels(labels)}
    assert len(set(colors.values())) == 5
    assert colors[9] == own
    assert colors[1] == mask_labels([{"value": 1, "name": "a"}])[0]["color"]  # the same in every mask


def test_deleting_a_mask_removes_all_versions(case, storage, django_capture_on_commit_callbacks) -> None:
    save(case)
    second = save(case, values(case) * 0)
    with django_capture_on_commit_callbacks(execute=True):
        mask_delete(user=case.dataset.owner, mask=second)
    assert not case.masks.exists()
    assert not list(storage.rglob("*.z"))


WRONG = [{"x": [1]}, {"x": "a" * 501}, {"": 1}, {"Patient Name": "Miller"}, {"date_of_birth": "1950"}]


def test_attributes_are_plain_values(case) -> None:
    owner = case.dataset.owner
    case_update(user=owner, case=case, name="A", modality="ct", attributes={"age": 61})
    case.refresh_from_db()
    assert (case.name, case.modality, case.attributes) == ("A", "CT", {"age": 61})
    for changes in ({"name": ""}, {"modality": "<b>"}, *({"attributes": wrong} for wrong in WRONG)):
        details = {"name": "A", "modality": "CT", "attributes": {}} | changes
        with pytest.raises(ApplicationError):
            case_update(user=owner, case=case, **details)


def test_units_that_followed_from_the_modality_follow_the_new_one(case) -> None:
    owner = case.dataset.owner
    assert (case.modality, case.units) == ("CT", "HU")
    case_update(user=owner, case=case, name=case.name, modality="MR", attributes={})
    assert case.units == "signal"
    case_update(user=owner, case=case, name=case.name, modality="OT", attributes={})
    assert case.units == "value"
    case.units = "mg/ml"  # told by the file, not by the modality
    case_update(user=owner, case=case, name=case.name, modality="CT", attributes={})
    assert case.units == "mg/ml"


def test_a_change_of_a_case_is_audited_once_with_before_and_after(case) -> None:
    owner, dataset = case.dataset.owner, case.dataset
    before = {"name": case.name, "modality": case.modality, "attributes": dict(case.attributes)}
    for _ in range(2):  # the second time nothing changes
        case_update(user=owner, case=case, **before | {"attributes": {"age": 61}})
    entry = AuditEvent.objects.get(action="case.changed")
    assert entry.detail == {
        "before": {"attributes": before["attributes"]},
        "after": {"attributes": {"age": 61}},
    }
    version = dataset.version
    dataset.refresh_from_db()
    assert dataset.version == version + 1


def test_the_same_files_make_the_same_case(dataset) -> None:
    owner = factories.person("clinician")
    files = factories.ct_files(2, seed=4)
    one = case_create_from_dicom(files=files, owner=owner, name="result", is_synthetic=True)
    again = case_create_from_dicom(files=files, owner=owner, name="result", is_synthetic=True)
    assert one == again
    assert (one.source_format, one.is_synthetic) == ("synthetic", True)
    with pytest.raises(ApplicationError, match="not overwritten"):
        case_create_from_dicom(files=files, dataset=dataset, name="other", is_synthetic=True)
    with pytest.raises(ApplicationError):
        case_create_from_dicom(files=[b"rubbish"], owner=owner, name="bad")


def test_the_command_imports_and_prints_the_report(tmp_path, db, storage) -> None:
    hostile.series(tmp_path / "in", 2)
    (tmp_path / "in" / "bad.dcm").touch()
    with pytest.raises(CommandError, match="no data manager"):
        call_command("import_cases", str(tmp_path / "in"), dataset="New")
    manager = factories.person("data_manager")
    out = io.StringIO()
    call_command("import_cases", str(tmp_path / "in"), dataset="New", licence="CC0", stdout=out)
    dataset = Dataset.objects.get(name="New")
    assert dataset.owner == manager
    assert "0 taken, 2 taken and changed, 0 already here, 1 refused, into New (1 cases)." in out.getvalue()
    assert "The file is empty." in out.getvalue()
    with pytest.raises(CommandError, match="nothing at"):
        call_command("import_cases", str(tmp_path / "none"), dataset="New")
    clinician = factories.person("clinician")
    with pytest.raises(CommandError, match="may not import"):
        call_command("import_cases", str(tmp_path / "in"), dataset="New", user=clinician.username)


def test_pixels_with_burned_in_text_are_refused(tmp_path, bring) -> None:
    run = bring(hostile.ct(tmp_path / "us.dcm", BurnedInAnnotation="YES"))
    assert "burned into the pixels" in reason(run, "us.dcm")


def test_very_long_and_equal_names_stay_apart(tmp_path, bring) -> None:
    data = hostile.ct(tmp_path / "x.dcm").read_bytes()
    files = [(f"{'long/' * 150}{end}", io.BytesIO(data)) for end in ("a.dcm", "a.dcm", "b.dcm")]
    run = bring(files)
    assert len(outcomes(run)) == 3
    assert max(map(len, outcomes(run))) <= 500
