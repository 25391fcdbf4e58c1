"""Real or synthetic? Certainty and direction in one answer: four to six targets, or a slider.

Stored: {"score": number, "synthetic": true or false, "scale": "4" | "5" | "6" | "slider"}. A larger
score is surer that the image is synthetic: 1 to the number of targets, or 0 to 100. `synthetic` is the
side of the middle on which the score lies. Scale "5" and the slider have a middle that says neither;
there the reader is asked to choose all the same (`forced`), and `synthetic` is that choice. Without
`forced` it is null, and the answer counts for the ROC curve but for no share of right answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webapp.core.errors import ApplicationError

_TARGETS: dict[str, tuple[str | Promise, ...]] = {
    "4": (
        gettext_lazy("Definitely real"),
        gettext_lazy("Probably real"),
        gettext_lazy("Probably synthetic"),
        gettext_lazy("Definitely synthetic"),
    ),
    "5": (
        gettext_lazy("Definitely real"),
        gettext_lazy("Probably real"),
        gettext_lazy("Cannot tell"),
        gettext_lazy("Probably synthetic"),
        gettext_lazy("Definitely synthetic"),
    ),
    "6": (
        gettext_lazy("Definitely real"),
        gettext_lazy("Probably real"),
        gettext_lazy("Rather real"),
        gettext_lazy("Rather synthetic"),
        gettext_lazy("Probably synthetic"),
        gettext_lazy("Definitely synthetic"),
    ),
}
SLIDER_MAX = 100

SCALES = {
    "5": gettext_lazy("Five targets, with “cannot tell” in the middle"),
    "4": gettext_lazy("Four targets, no middle"),
    "6": gettext_lazy("Six targets, no middle"),
    "slider": gettext_lazy("A slider from 0 to 100"),
}


@dataclass(frozen=True, kw_only=True)
class RealOrSynthetic:
    """scale: how many targets, or "slider". forced: whoever stands in the middle must choose a side."""

    scale: str = field(
        default="5",
        metadata={"label": gettext_lazy("Answers"), "choices": tuple(SCALES.items())},
    )
    forced: bool = field(
        default=True,
        metadata={
            "label": gettext_lazy("Ask for a choice in the middle"),
            "help": gettext_lazy(
                "Whoever answers “cannot tell” is asked to choose all the same. Without this, such answers "
                "count for the ROC curve, but neither as right nor as wrong."
            ),
        },
    )

    about: ClassVar[str | Promise] = gettext_lazy(
        "Is it real or synthetic, and how sure are you? The first such question is what the study is about."
    )

    def __post_init__(self) -> None:
        """Raises ApplicationError for an unknown scale."""
        if self.scale not in SCALES:
            raise ApplicationError(
                _("The scale must be four, five or six targets, or a slider."), field="scale"
            )

    @property
    def top(self) -> int:
        """The largest score."""
        return SLIDER_MAX if self.scale == "slider" else len(_TARGETS[self.scale])

    @property
    def middle(self) -> float:
        """The score half-way between the ends."""
        return self.top / 2 if self.scale == "slider" else (1 + self.top) / 2

    @property
    def has_middle(self) -> bool:
        """Whether a reader can answer neither."""
        return self.middle.is_integer()

    def validate(self, value: Any) -> dict[str, Any]:
        """{"score": ..., "scale": ..., "synthetic": ...}. Raises ApplicationError for any other answer."""
        score = value.get("score") if isinstance(value, dict) else None
        low = 0 if self.scale == "slider" else 1
        if isinstance(score, bool) or not isinstance(score, int) or not low <= score <= self.top:
            raise ApplicationError(_("Choose how sure you are that this image is real or synthetic."))
        if score != self.middle:
            return {"score": score, "synthetic": score > self.middle, "scale": self.scale}
        chosen = value.get("synthetic")
        if self.forced and not isinstance(chosen, bool):
            raise ApplicationError(_("If you had to choose: is it real or synthetic?"))
        return {"score": score, "synthetic": chosen if self.forced else None, "scale": self.scale}

    def widget(self) -> dict[str, Any]:
        """Targets with number keys or a slider; "forced" is what to ask of whoever stands in the middle."""
        widget: dict[str, Any] = {"field": "score", "forced": None}
        if self.has_middle and self.forced:
            widget["forced"] = {
                "when": int(self.middle),
                "field": "synthetic",
                "label": _("If you had to choose"),
                "choices": [
                    {"value": False, "label": _("Real"), "key": "r"},
                    {"value": True, "label": _("Synthetic"), "key": "s"},
                ],
            }
        if self.scale == "slider":
            ends = {"low": _("Definitely real"), "high": _("Definitely synthetic")}
            return widget | ends | {"kind": "slider", "min": 0, "max": SLIDER_MAX, "step": 1}
        targets = [
            {"value": number, "label": str(label), "key": str(number)}
            for number, label in enumerate(_TARGETS[self.scale], start=1)
        ]
        return widget | {"kind": "targets", "choices": targets}

    def score(self, value: Mapping[str, Any]) -> float | None:
        """How sure the reader is that the image is synthetic."""
        return float(value["score"])

    def words(self, value: Mapping[str, Any]) -> str:
        """The target that was chosen, or the place of the slider."""
        if self.scale == "slider":
            return _("%(score)d of 100") % {"score": value["score"]}
        return str(_TARGETS[self.scale][int(value["score"]) - 1])
