"""The report as its page shows it: sections, tables and pictures, in words and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

import numpy as np
from django.urls import reverse
from django.utils.translation import gettext as _
from PIL import Image

from webapp.cases.models import Case
from webapp.core.permissions import can
from webapp.jobs.models import Result
from webapp.jobs.pictures import marked, png
from webapp.readings.exports import EXPORTS
from webapp.readings.figures import FIGURES
from webapp.readings.models import ItemTruth, Reading, ReadingItem, ReadingReport
from webapp.readings.pixels import pixels_load

HARDEST = 8
THUMBNAIL = 192


@dataclass(frozen=True)
class Section:
    """One figure with its sentence, its numbers, and the formulas that it rests on."""

    name: str
    label: str
    sentence: str
    has_figure: bool
    columns: list[str]
    rows: list[list[str]]
    formulas: list[dict[str, str]]


@dataclass(frozen=True)
class HardItem:
    """One of the items that most readers got wrong."""

    label: str
    number: int
    is_synthetic: bool
    wrong: int
    readers: int
    source_url: str
    source: str


def context_of(user: Any, reading: Reading, report: ReadingReport) -> dict[str, Any]:
    """What the report's templates need."""
    document = report.figures
    return {
        "reading": reading,
        "report": report,
        "document": document,
        "analysis": document["analysis"],
        "sections": sections_of(report.pk),
        "readers": _readers(document),
        "hardest": _hardest(user, document),
        "grades": _grades(document),
        "exports": [(kind, export.label) for kind, export in EXPORTS.items()],
        "is_sound": all(check["ok"] for check in document["checks"]),
    }


@lru_cache(maxsize=16)
def sections_of(report_id: UUID) -> list[Section]:
    """Every figure of a report that has anything to say; reports never change, so they are kept at hand."""
    document = ReadingReport.objects.get(pk=report_id).figures
    found = []
    for name, entry in FIGURES.items():
        module = entry.load()
        sheet = module.sheet(document)
        if not sheet.rows:
            continue
        formulas = [one for one in document["analysis"]["formulas"] if one["measure"] in entry.measures]
        found.append(
            Section(
                name=name,
                label=str(entry.label),
                sentence=module.say(document),
                has_figure=module.draw(document) is not None,
                columns=list(sheet.columns),
                rows=sheet.shown(),
                formulas=formulas,
            )
        )
    return found


@lru_cache(maxsize=64)
def figure_of(report_id: UUID, name: str) -> Any:
    """One figure of a report, drawn; None where the study has nothing to show in it."""
    from webapp.readings.figures.drawing import finished

    report = ReadingReport.objects.get(pk=report_id)
    document, entry = report.figures, FIGURES[name]
    module = entry.load()
    figure = module.draw(document)
    if figure is None:
        return None
    note = _("Protocol SHA-256 %(digest)s") % {"digest": document["identity"]["protocol_sha256"]}
    if document["simulated"]:
        note = f"{document['simulated']} · {note}"
    return finished(figure, title=str(entry.label), words=module.say(document), note=note)


def item_picture(item: ReadingItem) -> bytes:
    """The middle frame as readers saw it, as PNG; a synthetic one says so in its pixels."""
    array = pixels_load(item)
    plane = array[len(array) // 2].astype(np.float32)
    width = item.window_width or float(np.ptp(plane)) or 1.0
    center = item.window_center if item.window_center is not None else float(plane.min()) + width / 2
    shade = np.clip((plane - (center - width / 2)) * (255.0 / width), 0, 255).astype(np.uint8)
    image = Image.fromarray(shade, "L")
    scale = THUMBNAIL / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    image = image.resize(size, Image.Resampling.BICUBIC)
    drawn = item.truth.case is not None and item.truth.case.is_synthetic
    return png(marked(image) if drawn or item.truth.arm == ItemTruth.Arm.SYNTHETIC else image)


# --- tables


def _share(figure: Mapping[str, Any]) -> str:
    if figure["value"] is None:
        return _("not known")
    shown = f"{100 * figure['value']:.0f}%"
    if figure["low"] is None:
        return shown
    return f"{shown} ({100 * figure['low']:.0f}–{100 * figure['high']:.0f})"


def _number(figure: Mapping[str, Any]) -> str:
    if figure["value"] is None:
        return _("not known")
    shown = f"{figure['value']:.2f}"
    return shown if figure["low"] is None else f"{shown} ({figure['low']:.2f} to {figure['high']:.2f})"


def _readers(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per invited reader: who they are, how far they came, and how they did."""
    analysed = {one["reader"]: one for one in document["analysis"]["readers"]}
    checks = {one["reader"]: one for one in document["attention"]}
    rows = []
    for place in document["readers"]:
        row = dict(place) | {"checks": checks.get(place["reader"])}
        found = analysed.get(place["reader"])
        if found is not None:
            row |= {
                "sentence": found["sentence"],
                "accuracy": _share(found["accuracy"]),
                "sensitivity": _share(found["sensitivity"]),
                "specificity": _share(found["specificity"]),
                "d_prime": _number(found["d_prime"]),
                "criterion": _number(found["criterion"]),
                "auc": _number(found["auc"]),
                "binormal": None if found["binormal"]["auc"] is None else f"{found['binormal']['auc']:.2f}",
                "seconds": found["seconds"]["median"] if found["seconds"] else None,
            }
        rows.append(row)
    return rows


def _grades(document: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "question": one["question"],
            "pairs": _number(one["kappa_quadratic"]),
            "alpha": _number(one["krippendorff_ordinal"]),
            "intended": _number(one["against_intended"]) if one["against_intended"] else "",
        }
        for one in document["analysis"]["severity"]
    ]


def _hardest(user: Any, document: Mapping[str, Any]) -> list[HardItem]:
    """The items that most readers got wrong, with the way to where they came from, if it may be gone."""
    chosen = [one for one in document["analysis"]["difficulty"] if one["wrong"]][:HARDEST]
    items = [document["items"][one["item"]] for one in chosen]
    cases = Case.objects.in_bulk([item["case"] for item in items if item["case"]])
    results = Result.objects.in_bulk([item["result"] for item in items if item["result"]])
    found = []
    for one, item in zip(chosen, items):
        case = cases.get(UUID(item["case"])) if item["case"] else None
        result = results.get(UUID(item["result"])) if item["result"] else None
        url, source = "", ""
        if result is not None and can(user, "view", result):
            url, source = reverse("jobs:result-detail", args=[result.pk]), _("Open the result")
        elif case is not None and can(user, "view", case):
            url, source = reverse("cases:case-detail", args=[case.pk]), _("Open the case")
        found.append(
            HardItem(
                label=one["item"],
                number=item["number"],
                is_synthetic=one["is_synthetic"],
                wrong=one["wrong"],
                readers=one["readers"],
                source_url=url,
                source=source,
            )
        )
    return found
