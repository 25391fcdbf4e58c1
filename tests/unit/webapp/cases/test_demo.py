"""The demo dataset: real DICOM, exact masks, marked synthetic, made once."""

from io import StringIO

import numpy as np
import pydicom
import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command

from synthesis.imaging.geometry import orientation_letters
from synthesis.phantoms import DEMO_SERIES, phantom_series
from tests import factories
from tests.dciodvfy import dicom_errors, needs_dciodvfy
from webapp.accounts.models import Role
from webapp.cases.demo import MASK_NAME, NAME, demo_make
from webapp.cases.models import Case, Dataset, DatasetShare
from webapp.cases.selectors import case_geometry, case_slice, dataset_list_for, mask_array

SHAPE = (5, 32, 40)
PLANS = (DEMO_SERIES[1], DEMO_SERIES[5])  # a CT and a T2

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(storage):
    return factories.person(Role.DATA_MANAGER)


@pytest.fixture
def demo(owner):
    return demo_make(owner=owner, plans=PLANS, shape=SHAPE)


def test_pixels_labels_and_truth_arrive_unchanged(demo):
    assert demo.cases.count() == 2
    for plan in PLANS:
        case = demo.cases.get(name=plan.name)
        series = phantom_series(plan, shape=SHAPE)
        assert [case.slice_count, case.rows, case.columns] == list(SHAPE)
        for index in (0, 4):
            np.testing.assert_array_equal(case_slice(case, index).array, series.stored[index])
        mask = case.masks.get()
        assert (mask.name, mask.origin) == (MASK_NAME, "synthetic")
        np.testing.assert_array_equal(mask_array(mask), series.labels)
        assert series.facts.items() <= case.attributes.items()


def test_cases_say_that_they_are_synthetic_everywhere(demo):
    for case in demo.cases.all():
        assert case.is_synthetic
        assert case.source_format == "synthetic"
        assert case.patient.startswith("PHANTOM-")
        with default_storage.open(case.instances.first().file) as file:
            header = pydicom.dcmread(file)
        assert header.SyntheticData == "YES"
        assert "SYNTHETIC" in header.SeriesDescription
        assert "Not for clinical use" in header.ImageComments


def test_series_lie_as_axial_scans_do(demo):
    for plan in PLANS:
        case = demo.cases.get(name=plan.name)
        geometry = case_geometry(case)
        letters = orientation_letters(geometry.orientation)
        assert (letters["left"], letters["top"]) == ("R", "A")
        assert geometry.is_uniform
        assert geometry.spacing_mm == pytest.approx(
            (*phantom_series(plan, shape=SHAPE).phantom.spacing_mm[1:], 5.0), abs=1e-3
        )
        assert case.modality == ("CT" if plan.modality == "CT" else "MR")
        assert case.units == ("HU" if plan.modality == "CT" else "signal")


def test_the_same_person_with_and_without_cirrhosis_is_one_patient(owner):
    demo = demo_make(owner=owner, plans=DEMO_SERIES[:2], shape=SHAPE)
    assert {case.patient for case in demo.cases.all()} == {"PHANTOM-1"}
    assert len({case.study_uid for case in demo.cases.all()}) == 2


def test_a_second_run_makes_nothing(demo, owner):
    before = list(Case.objects.values_list("id", "updated_at"))
    said = []
    again = demo_make(owner=owner, plans=PLANS, shape=SHAPE, report=said.append)
    assert (again.pk, again.version, said) == (demo.pk, Dataset.objects.get().version, [])
    assert list(Case.objects.values_list("id", "updated_at")) == before


def test_a_run_that_was_killed_is_completed(demo, owner):
    first, second = (demo.cases.get(name=plan.name) for plan in PLANS)
    first.masks.all().delete()
    second.delete()
    demo_make(owner=owner, plans=PLANS, shape=SHAPE)
    assert first.masks.count() == 1
    assert demo.cases.get(name=PLANS[1].name).masks.count() == 1


def test_demo_accounts_may_open_it_and_namesakes_without_the_role_may_not(owner):
    clinician = factories.person(Role.CLINICIAN, username="clinician")
    impostor = factories.person(Role.ANNOTATOR, username="researcher")
    demo = demo_make(owner=owner, plans=())
    assert list(dataset_list_for(user=clinician)) == [demo]
    assert DatasetShare.objects.get().user == clinician
    assert not DatasetShare.objects.filter(user=impostor).exists()


def test_the_command_names_the_missing_owner(storage):
    with pytest.raises(CommandError, match="make_accounts"):
        call_command("make_demo", owner="nobody")


def test_the_command_says_what_it_made_and_then_that_all_is_there(owner, monkeypatch):
    from webapp.cases.management.commands import make_demo

    def small(**given):
        return demo_make(plans=PLANS, shape=SHAPE, **given)

    monkeypatch.setattr(make_demo, "demo_make", small)
    first, second = StringIO(), StringIO()
    call_command("make_demo", owner=owner.username, stdout=first)
    call_command("make_demo", owner=owner.username, stdout=second)
    assert all(plan.name in first.getvalue() for plan in PLANS)
    assert second.getvalue().strip() == f"The dataset '{NAME}' is complete."


@needs_dciodvfy
def test_dicom_files_pass_dciodvfy(demo, tmp_path):
    for case in demo.cases.all():
        with default_storage.open(case.instances.first().file) as file:
            (tmp_path / "one.dcm").write_bytes(file.read())
        assert dicom_errors(tmp_path / "one.dcm") == []
