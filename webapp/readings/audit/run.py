"""The leak audit: can anything but the image proper tell which arm an item is of?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp
from typing import Any

import numpy as np

from webapp.core.errors import ApplicationError
from webapp.readings.audit.auc import Bool, Float, auc_interval, cross_validated_auc, midranks, rank_aucs
from webapp.readings.audit.classifiers import CLASSIFIERS, classifier_aucs
from webapp.readings.audit.columns import FAMILIES, METADATA, PIXELS, Feature, feature
from webapp.readings.audit.exchanges import received
from webapp.readings.audit.labelings import Labelings, cluster_folds, labelings
from webapp.readings.audit.naming import Rule, rules
from webapp.readings.audit.observation import ARMS, Observation
from webapp.readings.audit.pictures import pixel_statistics
from webapp.readings.audit.report import AuditReport, Finding
from webapp.readings.audit.sentences import sentences, verdict_of

LEVEL = 0.05
PERMUTATIONS = 999
FOLDS = 5
EXAMPLES = 4
_TIE = 1e-9
_STREAM = 0x1EA4


def audit(
    observations: Sequence[Observation],
    *,
    seed: int,
    permutations: int = PERMUTATIONS,
    level: float = LEVEL,
) -> AuditReport:
    """Try to tell the arms apart by everything that reaches a reader except what the image shows.

    Each feature is ranked and tested by |AUC - 0.5| over its standard deviation under relabeling; the
    features of each family together by two cross-validated classifiers. All statistics share one
    permutation test by their maximum (Westfall and Young 1993): with arms alike, the chance that the
    whole audit names anything is at most `level`. p = (1 + exceedances) / (1 + permutations).
    Checks of names, dates and constants (`naming.rules`) come on top and need no statistics.

    Raises ApplicationError where one arm is missing.
    """
    arms = Counter(observation.arm for observation in observations)
    missing = [arm for arm in ARMS if not arms[arm]]
    if missing:
        raise ApplicationError(f"There is no {missing[0]} item, so there is nothing to tell apart.")
    table = _table(observations)
    broken = list(rules(observations, table))
    found = _features(observations, table)
    labels = np.array([observation.arm == ARMS[1] for observation in observations])
    clusters = [observation.cluster for observation in observations]
    # A stream of its own: items may have been put into their order from the same seed.
    generator = np.random.default_rng((seed, _STREAM))
    relabeled = labelings(labels, clusters, permutations, generator)
    folds = cluster_folds(clusters, FOLDS, generator)
    tests = _tests(found, relabeled.labels, folds, seed)
    test = _max_statistic(tests, relabeled, level)
    independent = {
        arm: len({one.cluster for one in observations if one.arm == arm}) for arm in ARMS
    }  # by arm, for the intervals
    findings = [
        *_by_rule(broken, observations),
        *_by_test(tests, test, observations, folds, independent, level),
    ]
    notes = _notes(broken, relabeled, independent, level)
    verdict = verdict_of(findings, can_test=relabeled.log_count >= np.log(1 / level))
    report = AuditReport(
        verdict=verdict,
        sentences=[],
        findings=findings,
        classifiers=_classifier_rows(tests, test, independent),
        notes=notes,
        items=dict(sorted(arms.items())),
        clusters=independent,
        features={family: sum(one.family == family for one in found) for family in FAMILIES},
        statistics=len(tests),
        permutations=permutations,
        seed=seed,
        level=level,
        p=test.p,
        detectable_auc=test.detectable_auc,
    )
    report.sentences.extend(sentences(report))
    return report


def _table(observations: Sequence[Observation]) -> dict[str, list[Any]]:
    """What every item's browser receives: name -> one value per item, None where an item lacks it."""
    rows = [received(observation) for observation in observations]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _features(observations: Sequence[Observation], table: Mapping[str, Sequence[Any]]) -> list[Feature]:
    """The features that differ between items; the same values in several places count once."""
    order = np.argsort([observation.position for observation in observations], kind="stable")
    places: dict[tuple[str, ...], list[str]] = {}
    for name, values in table.items():
        places.setdefault(tuple(repr(value) for value in values), []).append(name)
    found = []
    for names in places.values():
        name = names[0] if len(names) == 1 else f"{names[0]} (and {len(names) - 1} more places)"
        found.append(feature(name, METADATA, table[names[0]], order))
    images = [observation.pixels for observation in observations]
    if all(image is not None for image in images):
        given = [image for image in images if image is not None]
        span = (min(int(image.min()) for image in given), max(int(image.max()) for image in given))
        statistics = [pixel_statistics(image, span) for image in given]
        for name in dict.fromkeys(name for one in statistics for name in one):
            found.append(feature(name, PIXELS, [one.get(name) for one in statistics], order))
    return [one for one in found if one is not None]


# --- one test over everything


@dataclass(frozen=True, kw_only=True, eq=False)
class _Test:
    """One statistic: its AUC under every labeling [labelings], and what it belongs to.

    column: which of the feature's columns; None for a classifier, whose AUC counts from above alone.
    """

    name: str
    family: str
    areas: Float
    feature: Feature | None = None
    column: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Outcome:
    """Adjusted p of every statistic, of the audit, and the AUC that would have been found."""

    adjusted: Float
    p: float
    detectable_auc: float | None


def _tests(found: Sequence[Feature], labels: Bool, folds: Any, seed: int) -> list[_Test]:
    """Every column of every feature, and every classifier of every family."""
    tests = []
    for family in FAMILIES:
        members = [(one, index) for one in found if one.family == family for index in range(len(one.columns))]
        if not members:
            continue
        numbers = np.array([one.columns[index].numbers for one, index in members])
        areas = rank_aucs(midranks(numbers), labels)
        tests += [
            _Test(name=one.name, family=family, areas=row, feature=one, column=index)
            for (one, index), row in zip(members, areas, strict=True)
        ]
        tests += [
            _Test(name=name, family=family, areas=classifier_aucs(scorer, numbers, labels, folds, seed))
            for name, scorer in CLASSIFIERS.items()
        ]
    return tests


def _max_statistic(tests: Sequence[_Test], relabeled: Labelings, level: float) -> _Outcome:
    """Adjust for every statistic at once by the largest one under each labeling.

    A feature's statistic is |AUC - 0.5| / s with s^2 the mean of (AUC - 0.5)^2 over all labelings, a
    classifier's (AUC - mean) / s; both treat the observed labeling like any other, so the test is exact
    where relabeled clusters are exchangeable.
    """
    if not tests:
        return _Outcome(adjusted=np.zeros(0), p=1.0, detectable_auc=None)
    areas = np.stack([one.areas for one in tests])
    single = np.array([one.column is not None for one in tests])
    middle = np.where(single, 0.5, areas.mean(axis=1))[:, None]
    spread = np.sqrt(((areas - middle) ** 2).mean(axis=1))
    scores = np.divide(
        np.where(single[:, None], np.abs(areas - middle), areas - middle),
        spread[:, None],
        out=np.zeros_like(areas),
        where=spread[:, None] > _TIE,
    )
    largest = scores.max(axis=0)
    exceeding = (largest[None, 1:] >= scores[:, :1] - _TIE).sum(axis=1)
    adjusted = (1 + exceeding) / largest.size
    p = float((1 + (largest[1:] >= largest[0] - _TIE).sum()) / largest.size)
    detectable = None
    if relabeled.log_count >= np.log(1 / level) and single.any():
        reach = float(np.quantile(largest[1:], 1 - level)) * float(np.median(spread[single]))
        detectable = min(0.5 + reach, 1.0)
    return _Outcome(adjusted=adjusted, p=p, detectable_auc=detectable)


# --- into words


def _by_test(
    tests: Sequence[_Test],
    test: _Outcome,
    observations: Sequence[Observation],
    folds: Any,
    clusters: Mapping[str, int],
    level: float,
) -> list[Finding]:
    """One finding per feature (by its clearest column) and classifier whose adjusted p is small enough."""
    labels = np.array([observation.arm == ARMS[1] for observation in observations])
    best: dict[tuple[str, str, bool], int] = {}
    for index, one in enumerate(tests):
        key = (one.family, one.name, one.feature is None)
        strength = (test.adjusted[index], -abs(one.areas[0] - 0.5))
        if test.adjusted[index] <= level and (
            key not in best or strength < (test.adjusted[best[key]], -abs(tests[best[key]].areas[0] - 0.5))
        ):
            best[key] = index
    findings = []
    for index in best.values():
        one = tests[index]
        area, words, found_by = float(one.areas[0]), "together tell the arms apart", "classifier"
        examples: dict[str, list[str]] = {}
        name = f"all features, {one.name}"
        if one.feature is not None and one.column is not None:
            column, found_by = one.feature.columns[one.column], "feature"
            words = f"{column.words} in {ARMS[int(area > 0.5)]} items"
            area = cross_validated_auc(column.numbers, labels, folds)
            examples, name = _examples(one.feature.values, observations), one.name
        low, high = auc_interval(area, clusters[ARMS[1]], clusters[ARMS[0]])
        findings.append(
            Finding(
                feature=name, family=one.family, found_by=found_by, words=words, auc=round(area, 4),
                low=round(low, 4), high=round(high, 4), p=float(test.adjusted[index]), examples=examples,
            )
        )  # fmt: skip
    return sorted(
        findings,
        key=lambda f: (
            f.family,
            f.found_by == "classifier",
            f.p or 0.0,
            -abs((f.auc or 0.5) - 0.5),
            f.feature,
        ),
    )


def _by_rule(found: Sequence[Rule], observations: Sequence[Observation]) -> list[Finding]:
    """One finding per check that failed in a way that differs between items; equal ones once."""
    places: dict[tuple[str, ...], list[Rule]] = {}
    for rule in found:
        if rule.varies:
            places.setdefault((rule.words, *map(repr, rule.values)), []).append(rule)
    return [
        Finding(
            feature=same[0].feature
            if len(same) == 1
            else f"{same[0].feature} (and {len(same) - 1} more places)",
            family=METADATA,
            found_by="rule",
            words=same[0].words,
            examples=_examples(same[0].values, observations),
        )
        for same in places.values()
    ]


def _examples(values: Sequence[Any], observations: Sequence[Observation]) -> dict[str, list[str]]:
    """Up to EXAMPLES different values of each arm, the most frequent first."""
    shown = {}
    for arm in ARMS:
        counts = Counter(
            _short(value) for value, one in zip(values, observations, strict=True) if one.arm == arm
        )
        shown[arm] = [text for text, _ in counts.most_common(EXAMPLES)]
    return shown


def _short(value: Any) -> str:
    if value is None:
        return "(not there)"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _classifier_rows(
    tests: Sequence[_Test], test: _Outcome, clusters: Mapping[str, int]
) -> list[dict[str, Any]]:
    rows = []
    for index, one in enumerate(tests):
        if one.feature is None:
            area = float(one.areas[0])
            low, high = auc_interval(area, clusters[ARMS[1]], clusters[ARMS[0]])
            rows.append(
                {
                    "family": one.family,
                    "classifier": one.name,
                    "auc": round(area, 4),
                    "low": round(low, 4),
                    "high": round(high, 4),
                    "p": float(test.adjusted[index]),
                }
            )
    return rows


def _notes(
    found: Sequence[Rule], relabeled: Labelings, clusters: Mapping[str, int], level: float
) -> list[str]:
    """Limits of the test, and what is sent alike for all items but need not be."""
    notes = []
    if relabeled.log_count < np.log(1 / level):
        ways = max(1, round(exp(relabeled.log_count)))
        notes.append(
            f"There are only {ways} ways to give the arms to {sum(clusters.values())} independent groups of "
            "items, too few for any statistical test: only the checks of names, dates and constants count."
        )
    if relabeled.sizes_differ:
        notes.append(
            "Groups of items that belong together are of other sizes in one arm than in the other; the "
            "permutation test then holds only as far as the size itself tells nothing."
        )
    for rule in found:
        if not rule.varies:
            notes.append(
                f"“{rule.feature}” {rule.words}; it is the same for every item, but is better not sent."
            )
    return notes
