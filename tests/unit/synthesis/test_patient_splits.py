"""Where a patient falls: by the shares, by the hash as written down, alike in exports and in training."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from synthesis.patient_splits import SHARES, SPLITS, place_of, split_at
from training.sources import sources_of
from webapp.cases.exporting.splits import splits_of

PATIENTS = [f"patient {number}" for number in range(4000)]


def test_a_place_is_the_digest_of_seed_and_patient_as_a_fraction():
    digest = hashlib.sha256(b"3/patient 7").hexdigest()
    assert place_of("patient 7", 3) == int(digest[:16], 16) / 16**16
    assert place_of("patient 7", 3) != place_of("patient 7", 4)


def test_patients_are_spread_by_the_shares():
    drawn = [split_at(place_of(patient)) for patient in PATIENTS]
    for split, share in zip(SPLITS, SHARES):
        spread = (share * (1 - share) / len(PATIENTS)) ** 0.5
        assert drawn.count(split) / len(PATIENTS) == pytest.approx(share, abs=4 * spread)


@pytest.mark.parametrize(
    ("place", "split"),
    [
        (0.0, "train"),
        (0.699, "train"),
        (0.701, "validation"),
        (0.849, "validation"),
        (0.851, "test"),
        (0.999, "test"),
    ],
)
def test_shares_lie_end_to_end(place, split):
    assert split_at(place) == split


def test_a_split_without_a_share_gets_nobody():
    assert {split_at(place_of(patient), (0.3, 0.7, 0.0)) for patient in PATIENTS} == {"train", "validation"}
    assert split_at(1 - 2**-53, (0.3, 0.7 - 1e-9, 0.0)) == "train"


def test_an_export_and_a_training_set_place_a_patient_alike(tmp_path: Path):
    patients = PATIENTS[:60]
    cases = [SimpleNamespace(pk=one, patient=one, study_uid="", attributes={}) for one in patients]
    rows = ["image,mask,patient,modality,severity"]
    for number, patient in enumerate(patients):
        for part in ("image", "mask"):
            (tmp_path / f"{part}-{number}.nii.gz").write_bytes(b"")
        rows.append(f"image-{number}.nii.gz,mask-{number}.nii.gz,{patient},CT,none")
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "labels.json").write_text('{"1": "liver"}')
    trained = {source.patient: source.split for source in sources_of(tmp_path)}
    assert trained == splits_of(cases)
