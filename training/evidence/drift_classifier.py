"""Are drawn chest X-rays of use? A classifier trained on real, drawn or both, judged on real patients.

Every row has as many updates of the same size; what differs is what they see. The finding is text-mined
"pneumonia" against "no finding" (Wang et al. 2017), half of each, with the view (AP, PA) as a known confound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthesis.metrics.judges import conv_block
from training.evidence.drift_sets import Pictures, Split

FINDING = "pneumonia"
UPDATES = 160
BATCH = 32
RATE = 1e-3
SEEDS = (1, 2, 3)  # of the classifier; its figures are their mean
DRAWS = 1000
SHIFT = 4  # pixels that a picture is moved by at most
WIDTHS = (16, 32, 64, 64)
REAL, DRAWN, HALF, THEN = "real", "drawn", "half and half", "drawn, then real"
RECIPES = (REAL, DRAWN, HALF, THEN)

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Labelled:
    """Pictures [n, H, W] and whether each shows the finding [n]."""

    pictures: Pictures
    found: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, split: Split) -> Labelled:
        return cls(split.pictures, np.array([one.group == FINDING for one in split.people]))


class Classifier(nn.Module):
    """Four halvings and a mean: picture [B, 1, H, W] to a logit [B]."""

    def __init__(self) -> None:
        super().__init__()
        pairs = zip((1, *WIDTHS[:-1]), WIDTHS, strict=True)
        self.body = nn.Sequential(*(conv_block(a, b, 2) for a, b in pairs))
        self.leave = nn.Sequential(nn.Dropout(0.2), nn.Linear(WIDTHS[-1], 1))

    def forward(self, pictures: Tensor) -> Tensor:
        logit: Tensor = self.leave(self.body(pictures).mean((2, 3)))[:, 0]
        return logit


def trained(real: Labelled, drawn: Labelled | None, recipe: str, seed: int, updates: int) -> Classifier:
    """A classifier after `updates` batches, each of what RECIPES's `recipe` has at that point."""
    if recipe != REAL and drawn is None:
        raise ValueError(f"drawn: the recipe {recipe} needs drawn pictures")
    torch.manual_seed(seed)
    network = Classifier().train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.05)
    for step in range(updates):
        rng = np.random.default_rng((seed, step))
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 20, 2 * (updates - step) / updates)
        pictures, found = _batch(_seen(real, drawn, recipe, step / updates), rng)
        F.binary_cross_entropy_with_logits(network(pictures), found).backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    return network.eval()


def _seen(real: Labelled, drawn: Labelled | None, recipe: str, progress: float) -> Sequence[Labelled]:
    """The sets that a batch is made of in equal parts."""
    if recipe == REAL or drawn is None:
        return [real]
    if recipe == THEN:
        return [drawn if progress < 0.5 else real]
    return [drawn] if recipe == DRAWN else [real, drawn]


def _batch(sets: Sequence[Labelled], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """BATCH pictures [B, 1, H, W], half with the finding as far as there are both, shifted and brightened."""
    pictures, found = [], []
    for one in sets:
        for value in (False, True):
            members = np.flatnonzero(one.found == value)
            some = rng.choice(members, BATCH // 2 // len(sets))
            pictures.append(one.pictures[some])
            found.append(one.found[some])
    stack = np.concatenate(pictures)
    padded = np.pad(stack, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)), mode="edge")
    side = stack.shape[1]
    moved = [
        one[top : top + side, left : left + side]
        for one, (top, left) in zip(padded, rng.integers(0, 2 * SHIFT + 1, (len(stack), 2)), strict=True)
    ]
    gain = rng.uniform(0.9, 1.1, (len(stack), 1, 1))
    add = rng.uniform(-0.1, 0.1, (len(stack), 1, 1))
    seen = np.asarray(np.stack(moved) * gain + add, np.float32)
    return torch.from_numpy(seen)[:, None], torch.from_numpy(np.concatenate(found)).float()


@torch.no_grad()
def scores(network: Classifier, pictures: Pictures) -> Scores:
    """The logit of each picture [n]."""
    return np.asarray(network(torch.from_numpy(pictures)[:, None]).double().numpy())


def auc(given: Scores, found: npt.NDArray[np.bool_]) -> float:
    """Area under the ROC curve: the share of pairs that are in the right order, ties counting half."""
    yes, no = given[found], given[~found]
    if not len(yes) or not len(no):
        raise ValueError("found: expected pictures with the finding and without")
    return float((yes[:, None] > no).mean() + 0.5 * (yes[:, None] == no).mean())


def auc_interval(
    given: Sequence[Scores],
    found: npt.NDArray[np.bool_],
    patients: Sequence[str],
    *,
    less: Sequence[Scores] = (),
    seed: int = 0,
) -> dict[str, float]:
    """Mean AUC of several classifiers' scores with a bootstrap interval over patients.

    With `less`, the scores of others for the same pictures, it is the difference to their mean AUC.
    """

    def value_of(places: npt.NDArray[np.intp]) -> float:
        mean, other = (
            float(np.mean([auc(one[places], found[places]) for one in some])) if len(some) else 0.0
            for some in (given, less)
        )
        return mean - other

    who = np.unique(np.asarray(patients), return_inverse=True)[1]
    members = [np.flatnonzero(who == i) for i in range(int(who.max()) + 1)]
    rng = np.random.default_rng(seed)
    samples: list[float] = []
    while len(samples) < DRAWS:
        drawn = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        if 0 < found[drawn].sum() < len(drawn):
            samples.append(value_of(drawn))
    low, high = np.quantile(samples, [0.025, 0.975])
    return {"value": value_of(np.arange(len(found))), "low": float(low), "high": float(high)}


def compared(
    real: Labelled,
    drawn: Mapping[str, Labelled],
    held: Split,
    *,
    updates: int = UPDATES,
    seeds: Sequence[int] = SEEDS,
) -> dict[str, dict[str, Any]]:
    """Row -> AUC on held-out real patients: real alone, and with each set of drawn pictures by name.

    "over_real" in a row is its AUC less that of real alone, with its own interval.

    "<name>, as asked" is the other way round: what classifiers of real pictures say of the drawn ones, by
    what was asked for.
    """
    truth = Labelled.of(held)
    judges = [trained(real, None, REAL, seed, updates) for seed in seeds]
    usual = [scores(one, truth.pictures) for one in judges]
    rows: dict[str, dict[str, Any]] = {REAL: dict(auc_interval(usual, truth.found, held.patients))}
    for name, one in drawn.items():
        for recipe in RECIPES[1:]:
            found = [scores(trained(real, one, recipe, s, updates), truth.pictures) for s in seeds]
            over = auc_interval(found, truth.found, held.patients, less=usual)
            own = auc_interval(found, truth.found, held.patients)
            rows[f"{name}, {recipe}"] = own | {"over_real": over}
        alone = [str(i) for i in range(len(one.found))]
        asked = auc_interval([scores(j, one.pictures) for j in judges], one.found, alone)
        rows[f"{name}, as asked"] = dict(asked)
    return rows
