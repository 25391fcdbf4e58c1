"""DICOM comes in whole, sorted, without identity and with its pixels untouched; once is enough."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.uid import JPEG2000Lossless, RLELossless

from tests import factories, hostile
from tests.integration.cases.conftest import outcomes, reason
from webapp.cases.models import Case, Instance
from webapp.cases.selectors import case_slice, case_volume, mask_array

pytestmark = pytest.mark.django_db

SECRETS = ("Mustermann", "Erika", "4711-0815", "19641231", "20240102", "Elsewhere", "House")


def stored_bytes(storage: Path) -> bytes:
    """Everything that lies in the storage."""
    return b"\n".join(path.read_bytes() for path in storage.rglob("*") if path.is_file())


def test_a_series_is_sorted_by_place_and_keeps_its_pixels(tmp_path, dataset, bring) -> None:
    paths = hostile.series(tmp_path / "in", 5)
    run = bring(tmp_path / "in")
    case = dataset.cases.get()
    volume = case_volume(case)
    for index, path in enumerate(paths):
        assert np.array_equal(volume.stored[index], dcmread(path).pixel_array)
        assert case_slice(case, index).position_mm == (0.0, 0.0, 5.0 * index)
    assert case.spacing_mm == [2.0, 1.0, 5.0]
    assert case.units == "HU"
    assert case_slice(case, 2).array.dtype == np.float32
    assert np.array_equal(case_slice(case, 2).array, dcmread(paths[2]).pixel_array - 1024.0)
    assert (run.changed, run.taken, run.refused, run.duplicate, run.state) == (5, 0, 0, 0, "finished")
    assert [i.number for i in case.instances.all()] == [1, 2, 3, 4, 5]


def test_no_identity_reaches_the_storage_or_the_database(tmp_path, dataset, bring, storage) -> None:
    folder = tmp_path / "in" / "MUSTERMANN_ERIKA"
    hostile.series(folder, 2, SeriesDescription="CT Mustermann, Erika abdomen", OperatorsName="Nurse^Jackie")
    run = bring(tmp_path / "in")
    rows = json.dumps(
        [
            *Case.objects.values(),
            *Instance.objects.values(),
            *run.entries.values(),
            *dataset.imports.values(),
        ],
        default=str,
    )
    for secret in (*SECRETS, "Jackie"):
        assert not re.search(re.escape(secret), rows, re.IGNORECASE), secret
        assert secret.lower().encode() not in stored_bytes(storage).lower(), secret
    case = dataset.cases.get()
    assert case.series_description == "CT …, … abdomen"
    assert case.attributes["age"] == 59
    header = dcmread(storage / case.instances.first().file)
    assert str(header.PatientName) == header.PatientID == case.patient
    assert header.PatientIdentityRemoved == "YES"
    assert not header.PatientBirthDate
    assert header.SOPInstanceUID.startswith("2.25.")


def test_importing_twice_adds_nothing(tmp_path, dataset, bring, storage) -> None:
    hostile.series(tmp_path / "in", 3)
    bring(tmp_path / "in")
    before = sorted(path.name for path in storage.rglob("*"))
    again = bring(tmp_path / "in")
    assert (again.duplicate, again.changed, again.taken, again.refused) == (3, 0, 0, 0)
    assert dataset.cases.count() == 1
    assert sorted(path.name for path in storage.rglob("*")) == before


def test_the_same_uid_with_other_pixels_is_refused_and_nothing_overwritten(tmp_path, dataset, bring) -> None:
    first = hostile.ct(tmp_path / "a" / "one.dcm")
    bring(tmp_path / "a")
    image = dcmread(first)
    image.PixelData = bytes(reversed(image.PixelData))
    dcmwrite(hostile.ct(tmp_path / "b" / "two.dcm"), image)
    run = bring(tmp_path / "b")
    assert outcomes(run) == {"two.dcm": "refused"}
    assert "other pixels" in reason(run, "two.dcm")
    assert np.array_equal(case_slice(dataset.cases.get(), 0).array[0, :3], [-1024, -1023, -1022])


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_a_lossless_copy_of_the_same_image_is_a_duplicate(tmp_path, dataset, bring, syntax) -> None:
    path = Path(get_testdata_file("CT_small.dcm"))
    image = dcmread(path)
    image.compress(syntax, generate_instance_uid=False)
    (tmp_path / "in").mkdir()
    image.save_as(tmp_path / "in" / "packed.dcm")
    (tmp_path / "in" / "plain.dcm").write_bytes(path.read_bytes())
    run = bring(tmp_path / "in")
    assert sorted(outcomes(run).values()) == ["changed", "duplicate"]


def test_compressed_bytes_are_kept_as_they_are(tmp_path, dataset, bring, storage) -> None:
    image = dcmread(get_testdata_file("CT_small.dcm"))
    image.compress(RLELossless, generate_instance_uid=False)
    image.save_as(tmp_path / "packed.dcm")
    bring(tmp_path / "packed.dcm")
    instance = Instance.objects.get()
    data = (storage / instance.file).read_bytes()
    (offset, length) = instance.frame_index[0][0]
    assert data[offset : offset + length] in (tmp_path / "packed.dcm").read_bytes()
    assert instance.transfer_syntax_uid == RLELossless
    stored = dcmread(storage / instance.file)
    assert np.array_equal(stored.pixel_array, dcmread(get_testdata_file("CT_small.dcm")).pixel_array)


def test_late_slices_join_their_case_and_masks_move_along(tmp_path, dataset, bring) -> None:
    paths = hostile.series(tmp_path / "all", 5)
    for place, wanted in (("first", (1, 3)), ("rest", (0, 2, 4))):
        (tmp_path / place).mkdir()
        for index in wanted:
            (tmp_path / place / paths[index].name).write_bytes(paths[index].read_bytes())
    bring(tmp_path / "first")
    case = dataset.cases.get()
    mask = factories.mask(case, dataset.owner, value=3)
    bring(tmp_path / "rest")
    case.refresh_from_db()
    assert dataset.cases.count() == 1
    assert case.slice_count == 5
    for index, path in enumerate(paths):
        assert np.array_equal(case_volume(case).stored[index], dcmread(path).pixel_array)
    mask.refresh_from_db()
    assert mask.replaced_by is not None
    assert [int(plane.any()) for plane in mask_array(mask.replaced_by)] == [0, 1, 0, 1, 0]


def test_a_localiser_in_the_same_series_becomes_a_case_of_its_own(tmp_path, dataset, bring) -> None:
    paths = hostile.series(tmp_path / "in", 3)
    known = dcmread(paths[0])
    names = {
        "StudyInstanceUID": known.StudyInstanceUID,
        "SeriesInstanceUID": known.SeriesInstanceUID,
        "FrameOfReferenceUID": known.FrameOfReferenceUID,
    }
    hostile.ct(tmp_path / "in" / "scout.dcm", ImageOrientationPatient=[1, 0, 0, 0, 0, -1], **names)
    bring(tmp_path / "in")
    assert sorted(dataset.cases.values_list("slice_count", flat=True)) == [1, 3]
    assert len(set(dataset.cases.values_list("series_uid", flat=True))) == 2
    assert bring(tmp_path / "in").duplicate == 4


def test_two_datasets_give_unrelated_pseudonyms(tmp_path, dataset, bring) -> None:
    hostile.ct(tmp_path / "in" / "one.dcm")
    other = factories.dataset()
    bring(tmp_path / "in")
    bring(tmp_path / "in", into=other)
    one, two = dataset.cases.get(), other.cases.get()
    assert one.patient != two.patient
    assert one.study_uid != two.study_uid
    assert one.content_sha256 == two.content_sha256


def test_an_enhanced_multi_frame_image_is_one_sorted_case(tmp_path, dataset, bring) -> None:
    pixels = np.random.default_rng(1).integers(-500, 500, (4, 6, 8), dtype=np.int16)
    order = [2, 0, 3, 1]
    bring(hostile.enhanced(tmp_path / "enhanced.dcm", pixels, order))
    case = dataset.cases.get()
    assert (case.slice_count, case.instances.get().frame_count) == (4, 4)
    assert case.spacing_mm == [0.5, 0.75, 2.0]
    for frame, place in enumerate(order):
        expected = pixels[frame].astype(np.float32) * (frame + 1) - 100
        assert np.array_equal(case_slice(case, place).array, expected)
        assert case_slice(case, place).position_mm[2] == 2.0 * place


def test_html_in_descriptions_is_kept_as_text(tmp_path, dataset, bring, client_of) -> None:
    text = "<script>alert(1)</script>"
    hostile.ct(tmp_path / "one.dcm", SeriesDescription=text)
    bring(tmp_path / "one.dcm")
    case = dataset.cases.get()
    assert case.series_description == text
    page = client_of(dataset.owner).get(f"/datasets/{dataset.pk}/").content.decode()
    assert text not in page


def test_a_series_without_a_series_uid_or_sop_uid_is_taken_once(tmp_path, dataset, bring) -> None:
    path = hostile.ct(tmp_path / "in" / "one.dcm")
    image = dcmread(path)
    del image.SOPInstanceUID, image.SeriesInstanceUID
    image.save_as(path)
    assert bring(tmp_path / "in").changed == 1
    assert bring(tmp_path / "in").duplicate == 1
