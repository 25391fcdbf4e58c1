"""The audit's numbers against published ones, other libraries and simulation; its false-alarm rate."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from webapp.readings.audit import Observation, audit
from webapp.readings.audit.auc import (
    auc_interval,
    cross_validated_auc,
    midranks,
    rank_aucs,
    score_aucs,
)
from webapp.readings.audit.classifiers import CLASSIFIERS, classifier_aucs
from webapp.readings.audit.evidence import patients
from webapp.readings.audit.labelings import cluster_folds, labelings
from webapp.readings.audit.simulated import study

# Hanley and McNeil, Radiology 1982;143:29, table I: ratings of 109 CT images; area 0.893, SE 0.032.
NORMAL, ABNORMAL = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)


def hanley() -> tuple[np.ndarray, np.ndarray]:
    values = np.repeat([*range(1, 6), *range(1, 6)], [*NORMAL, *ABNORMAL]).astype(float)
    return values, np.repeat([False, True], [sum(NORMAL), sum(ABNORMAL)])


def test_the_area_of_hanley_and_mcneil() -> None:
    values, labels = hanley()
    assert rank_aucs(midranks(values)[None], labels[:, None])[0, 0] == pytest.approx(0.893, abs=5e-4)
    assert score_aucs(values[:, None], labels[:, None])[0] == pytest.approx(0.893, abs=5e-4)


def test_the_area_is_mann_and_whitneys() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 9, (7, 30)).astype(float)
    labels = rng.random((30, 5)) < 0.4
    areas = rank_aucs(midranks(values), labels)
    for row, own in enumerate(values):
        for column in range(5):
            first, second = own[labels[:, column]], own[~labels[:, column]]
            expected = stats.mannwhitneyu(first, second).statistic / (len(first) * len(second))
            assert areas[row, column] == pytest.approx(expected)


def test_one_class_alone_has_area_one_half() -> None:
    assert rank_aucs(midranks(np.arange(4.0))[None], np.ones((4, 1), bool))[0, 0] == 0.5


def test_the_interval_has_hanley_and_mcneils_standard_error_and_is_open_at_the_ends() -> None:
    low, high = auc_interval(0.893, sum(ABNORMAL), sum(NORMAL), level=2 * stats.norm.cdf(1e-3) - 1)
    assert (high - low) / 2e-3 == pytest.approx(0.032, abs=5e-4)
    assert auc_interval(1.0, 20, 20)[0] == pytest.approx(0.91, abs=0.02)
    assert auc_interval(1.0, 20, 20)[1] == 1.0
    assert auc_interval(0.0, 20, 20)[1] == pytest.approx(1 - auc_interval(1.0, 20, 20)[0])
    low, high = auc_interval(0.7, 30, 30)
    assert low < 0.7 < high


@pytest.mark.parametrize("area", [0.5, 0.8, 0.95])
def test_the_interval_covers(area: float) -> None:
    """2,000 binormal samples of 20 and 20; 95% minus what simulation and the method allow."""
    rng = np.random.default_rng(1)
    shift = np.sqrt(2) * stats.norm.ppf(area)
    labels = np.repeat([False, True], 20)
    covered = 0
    for _ in range(2000):
        values = rng.normal(0, 1, 40) + shift * labels
        found = rank_aucs(midranks(values)[None], labels[:, None])[0, 0]
        low, high = auc_interval(float(found), 20, 20)
        covered += low <= area <= high
    assert 0.93 <= covered / 2000 <= 0.98


def test_a_cross_validated_area_learns_its_direction_elsewhere() -> None:
    rng = np.random.default_rng(2)
    labels = np.tile([False, True], 50)
    folds = np.repeat(np.arange(5), 20)
    assert cross_validated_auc(~labels + rng.normal(0, 0.1, 100), labels, folds) == 1.0
    nothing = [cross_validated_auc(rng.normal(size=100), labels, folds) for _ in range(200)]
    assert np.mean(nothing) < 0.52


# --- relabeling


def test_whole_clusters_change_places() -> None:
    clusters = [f"c{k // 3}" for k in range(24)]
    labels = np.array([int(name[1:]) % 2 == 0 for name in clusters])
    drawn = labelings(labels, clusters, 200, np.random.default_rng(0))
    groups = drawn.labels.reshape(8, 3, 201)
    assert (groups == groups[:, :1]).all()
    assert (drawn.labels.sum(axis=0) == 12).all()
    np.testing.assert_array_equal(drawn.labels[:, 0], labels)
    assert drawn.log_count == pytest.approx(np.log(70))
    assert not drawn.sizes_differ


def test_a_cluster_of_both_arms_exchanges_within() -> None:
    clusters = [f"c{k // 2}" for k in range(20)]
    labels = np.tile([True, False], 10)
    drawn = labelings(labels, clusters, 300, np.random.default_rng(0))
    assert (drawn.labels.reshape(10, 2, 301).sum(axis=1) == 1).all()
    assert drawn.log_count == pytest.approx(10 * np.log(2))


def test_sizes_of_one_arm_alone_are_pooled_and_said_to_be() -> None:
    clusters = ["a", "a", "b", "b", "c", "d", "e"]
    labels = np.array([True] * 4 + [False] * 3)
    drawn = labelings(labels, clusters, 50, np.random.default_rng(0))
    assert drawn.sizes_differ
    assert drawn.log_count == pytest.approx(np.log(10))
    assert (drawn.labels[0] == drawn.labels[1]).all()


def test_folds_keep_clusters_together_and_even() -> None:
    clusters = [f"c{k % 13}" for k in range(60)]
    folds = cluster_folds(clusters, 5, np.random.default_rng(0))
    assert all(len({f for f, c in zip(folds, clusters) if c == name}) == 1 for name in set(clusters))
    assert np.ptp(np.bincount(folds)) <= 5


# --- classifiers


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_puts_weak_features_together(name: str) -> None:
    rng = np.random.default_rng(0)
    labels = np.tile([False, True], 60)
    folds = cluster_folds([str(k) for k in range(120)], 5, rng)
    weak = rng.normal(0, 1, (12, 120)) + 0.5 * labels
    assert classifier_aucs(CLASSIFIERS[name], weak, labels[:, None], folds, 0)[0] > 0.75
    noise = rng.normal(0, 1, (12, 120))
    permuted = rng.permuted(np.repeat(labels[:, None], 200, axis=1), axis=0)
    assert classifier_aucs(CLASSIFIERS[name], noise, permuted, folds, 0).mean() == pytest.approx(
        0.5, abs=0.03
    )


def test_the_forest_sees_what_takes_two_features() -> None:
    rng = np.random.default_rng(0)
    labels = np.tile([False, True], 100)
    first = rng.normal(0, 1, 200)
    second = np.where(labels, np.sign(first), -np.sign(first)) * np.abs(rng.normal(0, 1, 200))
    folds = cluster_folds([str(k) for k in range(200)], 5, rng)
    pair = np.stack([first, second])
    assert np.abs(rank_aucs(midranks(pair), labels[:, None]) - 0.5).max() < 0.1
    found = {
        name: classifier_aucs(one, pair, labels[:, None], folds, 0)[0] for name, one in CLASSIFIERS.items()
    }
    assert found["a forest of random trees"] > 0.85
    assert found["a linear classifier"] < 0.65


# --- the audit as a whole


def binomial_bounds(count: int, rate: float) -> tuple[int, int]:
    """What a count at that rate stays within, but for one run in a thousand on each side."""
    law = stats.binom(count, rate)
    return int(law.ppf(0.001)), int(law.ppf(0.999))


def numbers(seed: int) -> list[Observation]:
    """30 items of 30 patients of whom ten numbers are told, of one law in both arms."""
    rng = np.random.default_rng(seed)
    arms, order = rng.permutation(["real", "synthetic"] * 15), rng.permutation(30)
    shown = rng.normal(0, 1, (30, 10)).round(2)
    return [
        Observation(
            item=str(k),
            arm=str(arms[k]),
            cluster=str(k),
            position=int(order[k]),
            extras={f"v{n}": float(value) for n, value in enumerate(shown[k])},
        )
        for k in range(30)
    ]


def test_equal_arms_raise_a_false_alarm_in_one_study_of_twenty() -> None:
    studies = 300
    alarms = sum(bool(audit(numbers(seed), seed=seed, permutations=99).findings) for seed in range(studies))
    low, high = binomial_bounds(studies, 0.05)
    assert low > 0
    assert low <= alarms <= high, alarms


def test_so_they_do_with_everything_that_a_browser_receives() -> None:
    studies = 60
    alarms = sum(bool(audit(study(20, seed), seed=seed, permutations=99).findings) for seed in range(studies))
    assert alarms <= binomial_bounds(studies, 0.05)[1], alarms


def test_items_of_one_patient_count_as_one() -> None:
    studies = 150
    _, high = binomial_bounds(studies, 0.05)
    alarms = sum(bool(audit(patients(seed), seed=seed, permutations=99).findings) for seed in range(studies))
    assert alarms <= high
    loose = 0
    for seed in range(30):
        apart = [
            Observation(
                item=one.item, arm=one.arm, cluster=one.item, position=one.position, extras=one.extras
            )
            for one in patients(seed)
        ]
        loose += bool(audit(apart, seed=seed, permutations=99).findings)
    assert loose > 15, "taken for independent, the same items raise false alarms"


def test_an_order_made_from_the_same_seed_is_no_relabeling_of_the_audit() -> None:
    """Items listed by arm, put into order by seed 5 and audited by seed 5."""
    order = np.random.default_rng(5).permutation(40)
    observations = [
        Observation(
            item=str(k),
            arm="synthetic" if k >= 20 else "real",
            cluster=str(k),
            position=int(order[k]),
            extras={"leak": k},
        )
        for k in range(40)
    ]
    assert audit(observations, seed=5, permutations=999).p == 0.001


def test_the_same_seed_gives_the_same_report() -> None:
    observations = study(12, 3)
    assert audit(observations, seed=5).to_json() == audit(observations, seed=5).to_json()
