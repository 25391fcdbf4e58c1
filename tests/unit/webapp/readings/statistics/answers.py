"""Small studies for the tests, written as rows."""

from __future__ import annotations

import numpy as np

from webapp.readings.statistics.data import Answer, Ratings, ratings_of


def answer(
    reader: str, item: str, synthetic: bool, called: bool, score: float | None = None, **more
) -> Answer:
    """One row; its case is its item unless `more` says otherwise."""
    row = {"reader": reader, "item": item, "case": item, "is_synthetic": synthetic, "decision": called}
    return {**row, "score": score, **more}  # type: ignore[typeddict-item]


def study(decisions: np.ndarray, truth: np.ndarray, score: np.ndarray | None = None, case=None) -> Ratings:
    """Ratings from decisions [R, I] (nan: unread), truth [I], and scores [R, I]."""
    rows = []
    for r, row in enumerate(decisions):
        for i in np.flatnonzero(np.isfinite(row)):
            more = {"position": i + 1} | ({} if case is None else {"case": f"case {case[i]}"})
            given = None if score is None else float(score[r, i])
            rows.append(answer(f"R{r + 1}", f"item {i + 1}", bool(truth[i]), bool(row[i]), given, **more))
    return ratings_of(rows)
