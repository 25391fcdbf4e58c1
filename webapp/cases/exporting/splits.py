"""Training, validation and test sets by patient, the same every time and unmoved by cases that come later."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from synthesis.patient_splits import SHARES, SPLITS, place_of, split_at
from webapp.core.errors import ApplicationError

WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "tuning"), "validation"),
    **dict.fromkeys(("test", "testing", "held-out", "held_out"), "test"),
}
"""What an attribute `split` may say; any other word counts as not stated."""


def splits_of(cases: Iterable[Any], *, seed: int = 0, shares: Sequence[float] = SHARES) -> dict[UUID, str]:
    """The split of each case, by its id; all cases of one patient are in one split.

    A patient whose cases state one in the attribute `split` is in that one. Any other patient is
    placed by a hash of seed and pseudonym, so that it stays where it is when others come. Only where a
    split would stay empty (few patients) is the patient with the largest hash of the fullest moved there.
    Cases without a pseudonym go by their study.

    Raises:
        ApplicationError: where one patient's cases state different splits.
        ValueError: when the shares are not three that add up to 1.
    """
    if len(shares) != len(SPLITS) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"shares: expected {len(SPLITS)} that add up to 1, got {tuple(shares)}.")
    patients: dict[str, list[Any]] = defaultdict(list)
    for case in cases:
        patients[patient_of(case)].append(case)
    stated = {patient: _stated(patient, theirs) for patient, theirs in patients.items()}
    places = {patient: place_of(patient, seed) for patient, split in stated.items() if split is None}
    drawn = {patient: split_at(place, shares) for patient, place in places.items()}
    found = {patient: split or drawn[patient] for patient, split in stated.items()}
    share_of = dict(zip(SPLITS, shares, strict=True))
    for split in ("train", "test", "validation"):
        if not share_of[split] or split in found.values() or not drawn:
            continue
        largest, count = Counter(drawn.values()).most_common(1)[0]
        if count > 1 or split == "train":
            moved = max((one for one, name in drawn.items() if name == largest), key=places.__getitem__)
            drawn[moved] = found[moved] = split
    return {case.pk: found[patient] for patient, theirs in patients.items() for case in theirs}


def patient_of(case: Any) -> str:
    """Whose case it is: the pseudonym, or the study where there is none."""
    return str(case.patient or f"study {case.study_uid}")


def _stated(patient: str, cases: Sequence[Any]) -> str | None:
    words = {str(case.attributes.get("split", "")).strip().lower() for case in cases}
    stated = sorted({WORDS[word] for word in words if word in WORDS})
    if len(stated) > 1:
        raise ApplicationError(
            _(
                "The cases of patient %(patient)s are said to be in several splits (%(splits)s). A patient "
                "belongs to one; mend the attribute “split” of these cases. Nothing was exported."
            )
            % {"patient": patient, "splits": ", ".join(stated)},
            code="split_patient",
        )
    return stated[0] if stated else None
