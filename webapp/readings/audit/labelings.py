"""How the arms could have been labelled if they were alike: whole clusters change places, not parts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import lgamma

import numpy as np
import numpy.typing as npt

Bool = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Labelings:
    """The labels as they are, and as they might be.

    labels: [n, permutations + 1], the first column as observed. log_count: natural logarithm of how many
    labelings there are. sizes_differ: clusters had to change places with clusters of another size.
    """

    labels: Bool
    log_count: float
    sizes_differ: bool


def labelings(
    labels: Bool, clusters: Sequence[str], permutations: int, generator: np.random.Generator
) -> Labelings:
    """Relabel at the level of clusters: [n] labels and cluster names to `permutations` more labelings.

    Clusters of one arm exchange their arms with clusters of the same number of items; clusters that
    hold both arms (an image and its counterfactual) exchange labels within. Sizes that only one
    arm has are pooled, since nothing else could be exchanged.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for index, cluster in enumerate(clusters):
        members[cluster].append(index)
    drawn = np.repeat(labels[:, None], permutations + 1, axis=1)
    log_count = 0.0
    whole: list[list[int]] = []
    for rows in members.values():
        own = labels[rows]
        if own.all() or not own.any():
            whole.append(rows)
            continue
        drawn[rows, 1:] = generator.permuted(np.repeat(own[:, None], permutations, axis=1), axis=0)
        log_count += _log_choose(len(rows), int(own.sum()))
    strata, sizes_differ = _strata(whole, labels)
    for stratum in strata:
        own = np.array([labels[rows[0]] for rows in stratum])
        shuffled = generator.permuted(np.repeat(own[:, None], permutations, axis=1), axis=0)
        for rows, values in zip(stratum, shuffled, strict=True):
            drawn[rows, 1:] = values
        log_count += _log_choose(len(own), int(own.sum()))
    return Labelings(labels=drawn, log_count=log_count, sizes_differ=sizes_differ)


def cluster_folds(
    clusters: Sequence[str], count: int, generator: np.random.Generator
) -> npt.NDArray[np.intp]:
    """A fold [n] for each item, whole clusters together, about equally large, blind to the labels."""
    sizes = Counter(clusters)
    names = sorted(sizes)
    order = [names[index] for index in generator.permutation(len(names))]
    order.sort(key=lambda name: -sizes[name])
    filled = [0] * min(count, len(names))
    fold: dict[str, int] = {}
    for name in order:
        fold[name] = filled.index(min(filled))
        filled[fold[name]] += sizes[name]
    return np.array([fold[name] for name in clusters], dtype=np.intp)


def _strata(whole: list[list[int]], labels: Bool) -> tuple[list[list[list[int]]], bool]:
    """Clusters by size; sizes of one arm alone go together."""
    by_size: dict[int, list[list[int]]] = defaultdict(list)
    for rows in whole:
        by_size[len(rows)].append(rows)
    strata, alone = [], []
    for size in sorted(by_size):
        if len({bool(labels[rows[0]]) for rows in by_size[size]}) == 2:
            strata.append(by_size[size])
        else:
            alone.append(by_size[size])
    left = [rows for stratum in alone for rows in stratum]
    both = len({bool(labels[rows[0]]) for rows in left}) == 2
    return ([*strata, left] if both else strata), both


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
