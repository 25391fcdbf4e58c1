"""Contents of the shelf: every figure of a report, in the order in which the report shows them.

A figure is a module with `draw(document)`: the drawing or None where there is nothing to show,
`sheet(document)`: the numbers behind it, and `say(document)`: what it means in a sentence. `document` is
`webapp.readings.report.document`. A module is imported when its figure is wanted, so that a page without
figures never loads matplotlib.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class Entry:
    """One figure: its heading, its module, and the measures of the analysis whose formulas it rests on."""

    label: str | Promise
    module: str
    measures: tuple[str, ...] = ()

    def load(self) -> ModuleType:
        """The module."""
        return import_module(self.module)


_HERE = "webapp.readings.figures"

_OVER, _SINGLE = (
    "Accuracy, sensitivity, specificity over readers",
    "Accuracy, sensitivity, specificity of one reader",
)

FIGURES: dict[str, Entry] = {
    "accuracy": Entry(_("Right answers"), f"{_HERE}.accuracy", (_OVER, _SINGLE, "d' and criterion")),
    "equivalence": Entry(
        _("Is the difference from guessing negligible?"),
        f"{_HERE}.equivalence",
        ("Equivalence", "Balanced accuracy"),
    ),
    "roc": Entry(
        _("ROC curves"),
        f"{_HERE}.roc",
        ("Area under the empirical ROC curve", "Binormal ROC curve", "Area over readers"),
    ),
    "confidence": Entry(_("Confidence"), f"{_HERE}.confidence"),
    "controls": Entry(_("Controls"), f"{_HERE}.controls", (_OVER, _SINGLE)),
    "agreement": Entry(
        _("Agreement between readers"),
        f"{_HERE}.agreement",
        ("Fleiss' kappa", "Gwet's AC1", "Krippendorff's alpha", "Intervals of agreement"),
    ),
    "repeatability": Entry(
        _("Repeatability"), f"{_HERE}.repeatability", (_SINGLE, "Within-reader standard deviation")
    ),
    "time": Entry(_("Time per item"), f"{_HERE}.time", ("Time trend",)),
    "difficulty": Entry(_("Hard and easy items"), f"{_HERE}.difficulty", (_SINGLE,)),
    "severity": Entry(_("Severity seen and asked for"), f"{_HERE}.severity", ("Weighted kappa",)),
}
