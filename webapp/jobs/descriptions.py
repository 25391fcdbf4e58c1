"""What a result page says of a result: numbers with a sentence each, settings, and exact repetitions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from webapp.jobs.edit_words import edit_asked_rows
from webapp.jobs.forms import MODALITY_WORDS, SEX_WORDS, STEATOSIS_WORDS
from webapp.jobs.models import Job, Result, SynthesisRequest
from webapp.jobs.sampling import option_rows, sampler_words
from webapp.jobs.severities import GRADE_WORDS, severity_words

FLAGGED_BELOW = 0.8


@dataclass(frozen=True, kw_only=True)
class QualityRow:
    """One number with its sentence."""

    name: str
    value: str
    sentence: str
    is_good: bool


@dataclass(frozen=True, kw_only=True)
class QualityGroup:
    """Numbers of one sort, and what they mean."""

    title: str
    sentence: str
    rows: list[QualityRow] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether every number is as it should be."""
        return all(row.is_good for row in self.rows)


def quality_rows(result: Result) -> list[QualityGroup]:
    """The quality checks of an image, in the order in which they matter."""
    report = result.quality or {}
    unit = str(report.get("unit", ""))
    groups = [_organs(report, unit), _overlaps(report)]
    judge = report.get("judge")
    if judge:
        groups.append(_judged(judge))
    return [group for group in groups if group.rows]


@dataclass(frozen=True, kw_only=True)
class SeverityRead:
    """What the severity judge reads in a liver, beside what was asked for."""

    asked: str
    read: str
    level: str
    agrees: bool


def severity_read(result: Result) -> SeverityRead | None:
    """The severity that was measured; None where the liver was too small or nobody looked."""
    report = (result.quality or {}).get("severity")
    if not isinstance(report, dict):
        return None
    return SeverityRead(
        asked=severity_words(result.request.parameters.get("condition", {})),
        read=str(GRADE_WORDS[report["read"]]),
        level=f"{report['level']:.2f}",
        agrees=abs(report["level"] - report["asked"]) <= 0.5,
    )


def _organs(report: dict[str, Any], unit: str) -> QualityGroup:
    rows = []
    for organ in report.get("organs", []):
        low, high = organ["expected"]
        verdict = _("as expected") if organ["within"] else _("outside of what is expected")
        sentence = _("%(verdict)s: %(low).0f to %(high).0f %(unit)s") % {
            "verdict": verdict,
            "low": low,
            "high": high,
            "unit": unit,
        }
        rows.append(
            QualityRow(
                name=str(organ["name"]).capitalize(),
                value=f"{organ['mean']:.0f} {unit}",
                sentence=sentence,
                is_good=bool(organ["within"]),
            )
        )
    return QualityGroup(
        title=_("Organ intensities"),
        sentence=_("The mean of each organ, against what this tissue has under the condition asked for."),
        rows=rows,
    )


def _overlaps(report: dict[str, Any]) -> QualityGroup:
    rows = [_overlap(name, share) for name, share in report.get("adherence", {}).items()]
    return QualityGroup(
        title=_("Mask adherence"),
        sentence=_("How well the image keeps to its mask: overlap (Dice), 1 is perfect."),
        rows=rows,
    )


def _judged(judge: dict[str, Any]) -> QualityGroup:
    return QualityGroup(
        title=_("What a segmenter finds"),
        sentence=_("A network that sees the image alone draws the organs; overlap (Dice) with the mask."),
        rows=[_overlap(name, share) for name, share in judge.get("dice", {}).items()],
    )


def _overlap(name: str, share: float) -> QualityRow:
    is_good = share >= FLAGGED_BELOW
    if share >= 0.95:
        sentence = _("keeps to it closely")
    elif is_good:
        sentence = _("keeps to it")
    else:
        sentence = _("departs from it: look closely")
    return QualityRow(name=str(name).capitalize(), value=f"{share:.2f}", sentence=sentence, is_good=is_good)


def asked_rows(item: SynthesisRequest, result: Result | None = None) -> list[tuple[str, str]]:
    """What a request asks for; where a counterfactual came of it, with what was chosen for it."""
    if "edit" in item.parameters:
        return edit_asked_rows(item, result.recipe.get("options") if result is not None else None)
    condition, sampler = item.parameters.get("condition", {}), item.parameters.get("sampler", {})
    age = condition.get("age")
    rows = [
        (_("Model"), str(item.model)),
        (_("Adapter"), str(item.adapter or "")),
        (_("Anatomy"), anatomy_words(item)),
        (_("Cirrhosis"), severity_words(condition)),
        (_("Steatosis"), STEATOSIS_WORDS.get(condition.get("steatosis", 0), "")),
        (_("Diagnosis"), condition.get("diagnosis") or ""),
        (_("Age"), _("%(age)g years") % {"age": age} if age is not None else ""),
        (_("Sex"), SEX_WORDS.get(condition["sex"], "") if condition.get("sex") else ""),
        (_("Sampler"), sampler_words(sampler.get("name", ""))),
        (_("Steps"), str(sampler.get("steps", ""))),
        *option_rows(sampler),
        (_("Uncertainty map"), _("with every image") if item.parameters.get("uncertainty") else ""),
        (_("First seed"), str(item.seed)),
        (_("Note"), item.note),
    ]
    return [(label, str(value)) for label, value in rows if str(value).strip()]


def settings_rows(result: Result) -> list[tuple[str, str]]:
    """The settings and the recipe, as names and values in plain words."""
    recipe, item = result.recipe, result.request
    condition, sampler = item.parameters.get("condition", {}), recipe.get("sampler", {})
    numerics, versions = recipe.get("numerics", {}), recipe.get("versions", {})
    age = condition.get("age")
    rows = [
        (_("Model"), str(item.model)),
        (_("Adapter"), str(item.adapter or "")),
        (_("Modality"), MODALITY_WORDS.get(condition.get("modality", ""), condition.get("modality", ""))),
        (_("Cirrhosis"), severity_words(condition)),
        (_("Steatosis"), STEATOSIS_WORDS.get(condition.get("steatosis", 0), "")),
        (_("Diagnosis"), condition.get("diagnosis") or ""),
        (_("Age"), _("%(age)g years") % {"age": age} if age is not None else _("not stated")),
        (_("Sex"), SEX_WORDS.get(condition.get("sex") or "", "")),
        (_("Seed"), str(result.seed)),
        (_("Sampler"), sampler_words(sampler.get("name", ""))),
        (_("Steps"), str(sampler.get("steps", ""))),
        *option_rows(sampler),
        (_("Guidance"), _number(sampler.get("guidance"))),
        (_("Anatomy"), anatomy_words(item)),
        (_("Pixel spacing"), " × ".join(f"{value:.3g}" for value in item.grid.get("spacing_mm", [])) + " mm"),
        (_("Device"), _device(numerics)),
        (_("Number format"), str(numerics.get("dtype", ""))),
        (_("Software"), f"Semblance {versions.get('semblance', '')}, torch {versions.get('torch', '')}"),
        (_("Weights (SHA-256)"), str(recipe.get("model", {}).get("weights_sha256", ""))[:16] + "…"),
        (_("Adapter's weights (SHA-256)"), _digest(recipe.get("adapter") or {})),
        (_("Pixels (SHA-256)"), result.pixel_sha256[:16] + "…"),
    ]
    return [(label, str(value)) for label, value in rows if str(value).strip()]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two results side by side: rows are (name, first's value, second's value), `same` has the common one.

    `measured` has such rows under the title of their group.
    """

    differing: list[tuple[str, str, str]]
    same: list[tuple[str, str]]
    measured: list[tuple[str, list[tuple[str, str, str]]]]
    same_pixels: bool


def results_compared(first: Result, second: Result) -> Comparison:
    """What two results have in common and what not: their settings, and what was measured in both."""
    rows = _side_by_side(settings_rows(first), settings_rows(second))
    return Comparison(
        differing=[row for row in rows if row[1] != row[2] and row[0] != _("Pixels (SHA-256)")],
        same=[(name, left) for name, left, right in rows if left == right],
        measured=_measured(first, second),
        same_pixels=first.pixel_sha256 == second.pixel_sha256,
    )


def _measured(first: Result, second: Result) -> list[tuple[str, list[tuple[str, str, str]]]]:
    left, right = (
        {group.title: [(row.name, row.value) for row in group.rows] for group in quality_rows(result)}
        for result in (first, second)
    )
    return [(title, _side_by_side(left.get(title, []), right.get(title, []))) for title in {**left, **right}]


def _side_by_side(first: list[tuple[str, str]], second: list[tuple[str, str]]) -> list[tuple[str, str, str]]:
    """Rows joined by name in the order of the first, then those that only the second has; "–" for none."""
    left, right = dict(first), dict(second)
    return [(name, left.get(name, "–"), right.get(name, "–")) for name in {**left, **right}]


def _digest(part: dict[str, Any]) -> str:
    return f"{part['weights_sha256'][:16]}…" if part.get("weights_sha256") else ""


def _number(value: Any) -> str:
    return "" if value is None else f"{float(value):.3g}"


def _device(numerics: dict[str, Any]) -> str:
    words = [str(numerics.get("device", "")), str(numerics.get("instructions", ""))]
    if numerics.get("threads"):
        words.append(_("%(count)d threads") % {"count": numerics["threads"]})
    return ", ".join(word for word in words if word)


def anatomy_words(item: SynthesisRequest) -> str:
    """Where the label map came from."""
    notes = item.prepared
    if notes.get("source") == "phantom":
        return _("demo anatomy number %(number)d") % {"number": notes.get("phantom_seed", 0)}
    return _("%(case)s, slice %(slice)d") % {
        "case": notes.get("case", ""),
        "slice": int(notes.get("slice_index") or 0) + 1,
    }


def reproduction_of(result: Result) -> dict[str, Any] | None:
    """The latest exact repetition of a result: its job, and in words whether the pixels were the same."""
    job = (
        Job.objects.filter(kind="reproduce", subject_type="jobs.Result", subject_id=result.pk)
        .order_by("-created_at")
        .first()
    )
    if job is None:
        return None
    return {"job": job, "outcome": job.outcome if job.state == Job.State.SUCCEEDED else {}}
