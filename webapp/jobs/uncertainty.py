"""A result's uncertainty map: its values, what the viewer is told of it, and what it means in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from django.urls import reverse
from django.utils.translation import gettext as _

from synthesis.imaging.uncertainty import unpacked
from webapp.jobs.models import Result, Uncertainty


def uncertainty_of(result: Result) -> Uncertainty | None:
    """The map of a result; None where none was asked for."""
    return Uncertainty.objects.filter(result=result).first()


def uncertainty_array(found: Uncertainty) -> npt.NDArray[np.float32]:
    """Standard deviations [rows, columns] in HU or signal."""
    return unpacked(bytes(found.values), found.scale, (found.rows, found.columns))


def unit_of(result: Result) -> str:
    """The unit of the map, which is the image's."""
    return "HU" if result.request.parameters["condition"]["modality"] == "CT" else "signal"


def uncertainty_config(result: Result) -> dict[str, Any] | None:
    """What the viewer is told: where the values lie, their scale and unit, and the top of the colours."""
    found = uncertainty_of(result)
    if found is None:
        return None
    return {
        "url": reverse("jobs:result-uncertainty", args=[result.pk]),
        "shape": [1, found.rows, found.columns],
        "scale": found.scale,
        "unit": unit_of(result),
        "top": _round_top(float(found.about["top"])),
    }


def _round_top(value: float) -> float:
    """The next round number, so that the legend's end reads easily."""
    for step in (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000):
        if value <= 4 * step:
            return float(step * max(1, int(np.ceil(value / step))))
    return float(np.ceil(value / 10_000) * 10_000)


def uncertainty_rows(result: Result, found: Uncertainty) -> list[tuple[str, str]]:
    """The figures of a map as names and values."""
    about, unit = found.about, unit_of(result)
    rows = [
        (_("Mean over the image"), f"{about['mean']:.0f} {unit}"),
        (_("Largest"), f"{about['largest']:.0f} {unit}"),
        (_("Measured at"), _("t = %(t)g of the way from noise to image") % {"t": about["t"]}),
        (_("Probes"), str(about["probes"])),
    ]
    if about.get("probe_error") is not None:
        share = {"share": round(100 * about["probe_error"])}
        rows.append((_("Error of one pixel's value"), _("about %(share)d %%, from the probes") % share))
    if about.get("below_zero"):
        share = {"share": f"{100 * about['below_zero']:.1f}"}
        rows.append((_("Put to zero"), _("%(share)s %% of pixels, measured below it") % share))
    return rows


def uncertainty_summary(result: Result) -> list[tuple[str, str]]:
    """The rows of a result's map; empty where it has none."""
    found = uncertainty_of(result)
    return [] if found is None else uncertainty_rows(result, found)


def uncertainty_terms(found: Uncertainty) -> str:
    """What was measured, in English, for headers."""
    about = found.about
    return (
        "SYNTHETIC. Standard deviation of each pixel given the image seen through noise at "
        f"t={about['t']:g} (0 noise, 1 image), diag(Cov[x1|xt]) by {about['probes']} probes of the network. "
        "It says how far the model leaves a pixel open, not how far the image is from a real person."
    )
