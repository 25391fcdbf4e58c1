"""The before-and-after report of harmonising: what each arm was like, and what both are like now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from webapp.readings.audit.pictures import spectrum_slope
from webapp.readings.harmonising.survey import Image, step_of
from webapp.readings.harmonising.target import Target

MEASURES = {
    "rows": "rows",
    "columns": "columns",
    "frames": "frames",
    "spacing": "pixel size (mm)",
    "lowest": "lowest value",
    "highest": "highest value",
    "step": "step between values",
    "padding": "share of pixels at the lowest value",
    "border": "share of the border at the lowest value",
    "noise": "fine variation between neighbouring pixels",
    "slope": "slope of the spectrum",
}
WHOLE = ("rows", "columns", "frames", "spacing", "step")


def describe(pixels: Image, spacing_mm: tuple[float, ...]) -> dict[str, float]:
    """One item, before or after: the numbers behind `MEASURES`, of its middle frame and its range."""
    frame = pixels[len(pixels) // 2].astype(np.float64)
    low = float(pixels.min())
    border = np.concatenate([frame[0], frame[-1], frame[:, 0], frame[:, -1]])
    return {
        "rows": float(frame.shape[0]),
        "columns": float(frame.shape[1]),
        "frames": float(len(pixels)),
        "spacing": float(max(spacing_mm[:2])),
        "lowest": low,
        "highest": float(pixels.max()),
        "step": step_of(frame),
        "padding": float((frame == frame.min()).mean()),
        "border": float((border == frame.min()).mean()),
        "noise": float(np.median(np.abs(np.diff(frame, axis=1)))),
        "slope": spectrum_slope(frame),
    }


def before_and_after(
    before: Sequence[Mapping[str, float]],
    after: Sequence[Mapping[str, float]],
    arms: Sequence[str],
    target: Target,
) -> dict[str, Any]:
    """The report as plain JSON: {"target", "measures": [...], "sentences": [...]}.

    Each measure has, per arm, the median, lowest and highest item before and after.
    Raises ValueError where the lists are not of one length.
    """
    if not len(before) == len(after) == len(arms):
        raise ValueError(
            f"expected as many before as after as arms, got {len(before)}, {len(after)}, {len(arms)}"
        )
    measures = []
    for name, label in MEASURES.items():
        measures.append(
            {
                "name": name,
                "label": label,
                "before": _by_arm([one[name] for one in before], arms),
                "after": _by_arm([one[name] for one in after], arms),
            }
        )
    return {"target": target.to_json(), "measures": measures, "sentences": _sentences(measures, target)}


def _by_arm(values: Sequence[float], arms: Sequence[str]) -> dict[str, dict[str, float]]:
    found = {}
    for arm in sorted(set(arms)):
        own = np.array([value for value, one in zip(values, arms, strict=True) if one == arm])
        found[arm] = {
            "median": round(float(np.median(own)), 4),
            "low": round(float(own.min()), 4),
            "high": round(float(own.max()), 4),
        }
    return found


def _sentences(measures: Sequence[Mapping[str, Any]], target: Target) -> list[str]:
    """The reasons for the target, then what differed and what still does."""
    told = list(target.reasons)
    same, differ = [], []
    for one in measures:
        before, after = one["before"], one["after"]
        equal = len({(a["low"], a["high"]) for a in after.values()}) == 1
        if one["name"] in WHOLE and equal:
            same.append(one["label"])
        elif not equal:
            was, now = (
                " and ".join(f"{a['median']:.4g} ({arm})" for arm, a in side.items())
                for side in (before, after)
            )
            differ.append(f"{one['label'][0].upper()}{one['label'][1:]}: median {was} before, {now} after.")
    if same:
        told.append(f"Now the same for every item: {', '.join(same)}.")
    return told + differ
