"""How far readers agree with each other, beyond what chance would give."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from webapp.readings.figures.forest import Panel, forest
from webapp.readings.figures.sheet import INTERVAL, Sheet, interval_cells, interval_row

MEASURES = (
    ("percent_agreement", "Share of agreeing pairs"),
    ("fleiss_kappa", "Fleiss kappa"),
    ("gwet_ac1", "Gwet AC1"),
    ("krippendorff_nominal", "Krippendorff alpha, decisions"),
    ("krippendorff_ordinal", "Krippendorff alpha, confidence"),
)


def draw(document: dict[str, Any]) -> Figure | None:
    """One row per coefficient; 0 is what chance gives (but for the plain share), 1 is full agreement."""
    found = document["analysis"]["agreement"]
    if all(found[name]["value"] is None for name, _title in MEASURES):
        return None
    rows = [interval_row(title, found[name]) for name, title in MEASURES]
    lowest = min((row.low if row.low is not None else row.value or 0.0) for row in rows)
    left = 0.0 if lowest >= 0 else -0.5 if lowest >= -0.5 else -1.0
    return forest([Panel("Agreement between readers", rows, marked=0.0, limits=(left, 1.0), is_share=False)])


def sheet(document: dict[str, Any]) -> Sheet:
    """One row per coefficient."""
    found = document["analysis"]["agreement"]
    return Sheet(("measure", *INTERVAL), [[title, *interval_cells(found[name])] for name, title in MEASURES])


def say(document: dict[str, Any]) -> str:
    """The sentence of Fleiss kappa, and of AC1, which prevalence does not bend."""
    found = document["analysis"]["agreement"]
    return " ".join(found[name]["sentence"] for name in ("fleiss_kappa", "gwet_ac1")).strip()
