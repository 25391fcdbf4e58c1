"""Simulated readers: the probit mixed model of Roe and Metz for one modality, with its true figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import multivariate_normal, norm

from webapp.readings.statistics.data import Flags, Indices, Numbers, Ratings, Role

CUTS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # six levels of confidence; above 0 is "synthetic"


@dataclass(frozen=True, kw_only=True)
class Readers:
    """What a population of readers sees: X = separation (t - 1/2) + B_r + R_rt + P_pt + C_i + RC_ri + E, t =
    1 synthetic.

    separation: distance of the means in units of sqrt(case + interaction + error) where these add up to 1.
    bias: variance of B_r, a reader's leaning. skill: variance of R_rt, one draw per reader and kind.
    case: variance of the case effects, of which the share `shared` is common to the items of one kind of one
    case (patient). interaction: of reader and item. error: new at each showing, so that repeats differ.
    Roe and Metz, Acad Radiol 1997;4:298-303 (skill, case, interaction, error), with the leaning added.
    """

    separation: float = 0.0
    bias: float = 0.05
    skill: float = 0.0055
    case: float = 0.3
    interaction: float = 0.2
    error: float = 0.5
    shared: float = 0.5

    def __post_init__(self) -> None:
        """Raises ValueError for a negative variance or a share outside [0, 1]."""
        parts = (self.bias, self.skill, self.case, self.interaction, self.error)
        if min(parts) < 0 or not 0 <= self.shared <= 1 or self.case + self.interaction + self.error <= 0:
            raise ValueError(f"expected variances >= 0 and a share in [0, 1], got {parts} and {self.shared}")

    @property
    def spread(self) -> float:
        """The standard deviation of X within one kind, over readers and cases."""
        return float(np.sqrt(self.bias + self.skill + self.case + self.interaction + self.error))

    @property
    def accuracy(self) -> float:
        """The mean accuracy of the population, equal to its mean sensitivity and specificity:
        Phi(separation / 2 spread)."""
        return float(norm.cdf(self.separation / 2 / self.spread))

    @property
    def repeat_agreement(self) -> float:
        """The chance that a reader decides the same on a second showing: two normals that share all but the
        error."""
        mean = np.array([1.0, 1.0]) * self.separation / 2
        shared = self.spread**2 - self.error
        both = multivariate_normal(
            mean, [[self.spread**2, shared], [shared, self.spread**2]], allow_singular=True
        )
        wrong_twice = float(both.cdf(np.zeros(2)))
        return float(1 - 2 * (norm.cdf(-mean[0] / self.spread) - wrong_twice))

    @property
    def auc(self) -> float:
        """The mean area under the ROC curve of the continuous X: Phi(separation / sqrt(2 (spread^2 -
        bias)))."""
        return float(norm.cdf(self.separation / np.sqrt(2 * (self.spread**2 - self.bias))))

    @property
    def ordinal_auc(self) -> float:
        """The mean area of the six levels, by Gauss-Hermite integration over the leaning."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(80)
        within = np.sqrt(self.spread**2 - self.bias)
        shift = np.sqrt(self.bias) * nodes[:, None]
        chance = []
        for side in (-0.5, 0.5):
            below = norm.cdf((np.array(CUTS) - shift - side * self.separation) / within)
            chance.append(np.diff(below, prepend=0.0, append=1.0, axis=1))
        real, synthetic = chance
        less = np.cumsum(real, 1) - real
        return float((weights / weights.sum()) @ (synthetic * (less + real / 2)).sum(1))


def separation_for(accuracy: float, readers: Readers) -> float:
    """The separation at which a population with these variances has mean accuracy `accuracy`."""
    return float(2 * readers.spread * norm.ppf(accuracy))


def with_accuracy(accuracy: float, readers: Readers) -> Readers:
    """The same population with another mean accuracy."""
    return _at(readers, separation_for(accuracy, readers))


def _at(readers: Readers, separation: float) -> Readers:
    return Readers(
        separation=separation,
        bias=readers.bias,
        skill=readers.skill,
        case=readers.case,
        interaction=readers.interaction,
        error=readers.error,
        shared=readers.shared,
    )


@dataclass(frozen=True, kw_only=True)
class Design:
    """A study: readers, items of which `synthetic` are, items to a case, repeats per reader, and the share of
    items that a reader leaves unread (at random)."""

    readers: int
    items: int
    synthetic: int
    items_per_case: int = 1
    repeats: int = 0
    unread: float = 0.0
    slider: bool = False


def latent(readers: Readers, design: Design, rng: np.random.Generator) -> tuple[Numbers, Numbers]:
    """X [R, I] of the first showing, and [R, repeats] of the first `repeats` items shown again."""
    truth = truths(design)
    kind = truth.astype(np.int64)
    case = cases(design)
    size = (design.readers, design.items)
    skill = rng.normal(0, np.sqrt(readers.skill), (design.readers, 2))[:, kind]
    common = rng.normal(0, np.sqrt(readers.case * readers.shared), (case.max() + 1, 2))[case, kind]
    own = rng.normal(0, np.sqrt(readers.case * (1 - readers.shared)), design.items)
    steady = (
        readers.separation * (truth - 0.5)
        + rng.normal(0, np.sqrt(readers.bias), (design.readers, 1))
        + skill
        + common
        + own
        + rng.normal(0, np.sqrt(readers.interaction), size)
    )
    first = steady + rng.normal(0, np.sqrt(readers.error), size)
    again = steady[:, : design.repeats]
    return first, again + rng.normal(0, np.sqrt(readers.error), again.shape)


def truths(design: Design) -> Flags:
    """Which items are synthetic [I]: `design.synthetic` of them, spread evenly."""
    steps = np.arange(design.items + 1) * design.synthetic // design.items
    found: Flags = np.diff(steps) > 0
    return found


def cases(design: Design) -> Indices:
    """The case of each item: each case has `items_per_case` items, of both kinds where there are several."""
    number = -(-design.items // design.items_per_case)
    found: Indices = np.arange(design.items) % number
    return found


def simulate(readers: Readers, design: Design, rng: np.random.Generator) -> Ratings:
    """One simulated study; confidence in six levels, or in hundredths where the design has a slider."""
    first, again = latent(readers, design, rng)
    truth = truths(design)
    keep = rng.random(first.shape) >= design.unread
    reader, item = np.nonzero(keep)
    back = keep[:, : design.repeats]
    reader_again, item_again = np.nonzero(back)
    x: Numbers = np.r_[first[keep], again[back]]
    who, what = np.r_[reader, reader_again], np.r_[item, item_again]
    repeat = np.arange(len(x)) >= len(reader)
    level = norm.cdf(x / 1.5).round(2) if design.slider else np.searchsorted(CUTS, x).astype(np.float64) + 1
    places = rng.permuted(np.tile(np.arange(1, design.items + 1), (design.readers, 1)), axis=1)
    return Ratings(
        reader=who,
        item=what,
        case=cases(design)[what],
        is_synthetic=truth[what],
        decision=x > 0,
        score=level,
        repeat=repeat,
        seconds=rng.lognormal(2.0, 0.5, len(x)),
        position=np.where(repeat, design.items + 1 + what, places[who, what]),
        stratum=np.zeros(len(x), np.int64),
        role=np.full(len(x), int(Role.MAIN), np.int64),
        readers=tuple(f"Reader {number + 1}" for number in range(design.readers)),
        items=tuple(f"Item {number + 1}" for number in range(design.items)),
    )
