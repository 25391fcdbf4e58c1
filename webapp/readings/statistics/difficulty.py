"""Per-item difficulty: how many readers each item misled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from statsmodels.stats.proportion import proportion_confint

from webapp.readings.statistics.data import Table


@dataclass(frozen=True)
class Item:
    """One item (index into the study's items): readers who answered, wrong answers, their share with Wilson's
    interval, and the mean confidence that it is synthetic (None where none was asked)."""

    item: int
    is_synthetic: bool
    readers: int
    wrong: int
    share_wrong: float
    low: float
    high: float
    mean_score: float | None


def difficulty(answers: Table, *, level: float = 0.95) -> list[Item]:
    """All items, the most mistaken first; among equals in the study's order.

    The interval is Wilson's (J Am Stat Assoc 1927;22:209-212) on the readers of that one item: it speaks of
    other readers, not of other items.
    """
    readers = answers.read.sum(0)
    wrong = (answers.read & (answers.decision != answers.truth)).sum(0)
    low, high = proportion_confint(wrong, readers, alpha=1 - level, method="wilson")
    scored = np.isfinite(answers.score)
    totals = np.where(scored, answers.score, 0.0).sum(0)
    order = np.lexsort((answers.items, -wrong / readers))
    return [
        Item(
            int(answers.items[k]),
            bool(answers.truth[k]),
            int(readers[k]),
            int(wrong[k]),
            float(wrong[k] / readers[k]),
            float(low[k]),
            float(high[k]),
            float(totals[k] / scored[:, k].sum()) if scored[:, k].any() else None,
        )
        for k in order
    ]
