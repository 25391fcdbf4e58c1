"""Splits by patient: together, stable, in proportion, and stated ones first."""

from collections import Counter
from types import SimpleNamespace
from uuid import uuid4

import pytest

from synthesis.patient_splits import SHARES, SPLITS
from webapp.cases.exporting.splits import splits_of
from webapp.core.errors import ApplicationError


def case(patient="", split=None, study="1.2.3"):
    attributes = {} if split is None else {"split": split}
    return SimpleNamespace(pk=uuid4(), patient=patient, study_uid=study, attributes=attributes)


def of_patients(count, cases=1):
    return [case(f"P{number}") for number in range(count) for _ in range(cases)]


def test_all_cases_of_a_patient_are_together():
    cases = of_patients(200, cases=3)
    found = splits_of(cases)
    for start in range(0, len(cases), 3):
        assert len({found[one.pk] for one in cases[start : start + 3]}) == 1


def test_without_a_pseudonym_a_study_stays_together():
    cases = [case(study=f"1.2.{number % 40}") for number in range(120)]
    found = splits_of(cases)
    by_study = {}
    for one in cases:
        by_study.setdefault(one.study_uid, set()).add(found[one.pk])
    assert all(len(splits) == 1 for splits in by_study.values())


def test_the_shares_come_out_within_four_standard_deviations():
    count = 4000
    found = Counter(splits_of(of_patients(count)).values())
    for split, share in zip(SPLITS, SHARES):
        assert abs(found[split] - count * share) < 4 * (count * share * (1 - share)) ** 0.5


def test_patients_stay_where_they_are_when_others_come():
    early = of_patients(300)
    before = splits_of(early)
    after = splits_of([*early, *(case(f"Q{number}") for number in range(300))])
    assert {pk: after[pk] for pk in before} == before


def test_another_seed_draws_other_splits():
    cases = of_patients(100)
    assert splits_of(cases, seed=0) != splits_of(cases, seed=1)


@pytest.mark.parametrize("count", range(3, 12))
def test_with_few_patients_no_split_is_empty(count):
    for seed in range(20):
        assert set(splits_of(of_patients(count), seed=seed).values()) == set(SPLITS)


def test_one_patient_trains():
    for seed in range(20):
        assert set(splits_of(of_patients(1), seed=seed).values()) == {"train"}
        assert set(splits_of(of_patients(2), seed=seed).values()) >= {"train"}
    assert splits_of([]) == {}


def test_a_share_of_nothing_stays_empty():
    found = set(splits_of(of_patients(50), shares=(0.8, 0.0, 0.2)).values())
    assert found == {"train", "test"}


def test_what_the_cases_state_holds_for_the_whole_patient():
    stated, silent = case("A", "Val"), case("A")
    found = splits_of([stated, silent, case("B", "training"), case("C", "held-out"), case("D", "fold 3")])
    assert [found[stated.pk], found[silent.pk]] == ["validation", "validation"]


def test_a_patient_in_two_splits_is_refused_by_name():
    with pytest.raises(ApplicationError, match=r"patient A .*test, train"):
        splits_of([case("A", "train"), case("A", "test"), case("B")])


@pytest.mark.parametrize("shares", [(1.0,), (0.5, 0.5, 0.5), (1.2, -0.1, -0.1)])
def test_shares_must_make_a_whole(shares):
    with pytest.raises(ValueError, match="shares"):
        splits_of(of_patients(3), shares=shares)
