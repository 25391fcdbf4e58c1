"""What may become an item: the cases and results that a lead may use, narrowed, with small pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any

import numpy as np
from django.db.models import Model, QuerySet
from django.db.models.fields.json import KeyTransform
from PIL import Image

from webapp.cases.models import Case
from webapp.cases.previews import slice_picture
from webapp.cases.selectors import case_list_for, dataset_list_for
from webapp.jobs.models import Result
from webapp.readings.models import ItemTruth, Reading, ReadingItem
from webapp.readings.pixels import pixels_load
from webapp.readings.selectors import result_choices_for

SEPARATOR = "\x1f"
MOST_PAIRS = 60
THUMBNAIL = 192


def real_candidates(*, user: Any) -> QuerySet[Case]:
    """The real, grey cases that the person may see in datasets."""
    return case_list_for(user=user).filter(is_synthetic=False, is_colour=False, dataset__isnull=False)


def synthetic_candidates(*, user: Any) -> QuerySet[Result]:
    """The results that the lead may use."""
    return result_choices_for(user=user)


def choices_among(user: Any, arm: str) -> dict[str, Any]:
    """What the filter offers: datasets, modalities and attributes with their values, as they occur."""
    if arm == ItemTruth.Arm.REAL:
        cases: QuerySet[Any] = real_candidates(user=user)
        rows = cases.order_by().values_list("modality", "attributes")
        datasets = [(str(one.pk), one.name) for one in dataset_list_for(user=user).order_by("name")]
    else:
        rows = synthetic_candidates(user=user).order_by().values_list("case__modality", "case__attributes")
        datasets = []
    modalities: set[str] = set()
    pairs: Counter[tuple[str, str]] = Counter()
    for modality, attributes in rows:
        modalities.add(modality)
        pairs.update(
            (name, str(value)) for name, value in attributes.items() if isinstance(value, (str, int, float))
        )
    offered = sorted(pair for pair, _count in pairs.most_common(MOST_PAIRS))
    return {
        "datasets": datasets,
        "modalities": sorted(modalities),
        "attributes": [
            (f"{name}{SEPARATOR}{value}", f"{name}: {value} ({pairs[name, value]})")
            for name, value in offered
        ],
    }


def narrowed(candidates: QuerySet[Any], arm: str, chosen: Mapping[str, Any]) -> QuerySet[Any]:
    """The candidates that the filter leaves."""
    case = "" if arm == ItemTruth.Arm.REAL else "case__"
    if chosen.get("dataset"):
        candidates = candidates.filter(dataset=chosen["dataset"])
    if chosen.get("modality"):
        candidates = candidates.filter(**{f"{case}modality": chosen["modality"]})
    if chosen.get("search"):
        candidates = candidates.filter(**{f"{case}name__icontains": chosen["search"]})
    if chosen.get("decision"):
        candidates = candidates.filter(decision=chosen["decision"])
    if chosen.get("attribute"):
        name, _, value = chosen["attribute"].partition(SEPARATOR)
        values: list[Any] = [value]
        for kind in (int, float):
            try:
                values.append(kind(value))
            except ValueError:
                break
        transform = KeyTransform(name, f"{case}attributes")
        candidates = candidates.annotate(asked=transform).filter(asked__in=values)
    return candidates.order_by(f"{case}name", "pk")


def unused(candidates: QuerySet[Any], arm: str, reading: Reading) -> QuerySet[Any]:
    """Without those that are in the study already."""
    truths = ItemTruth.objects.filter(item__reading=reading)
    if arm == ItemTruth.Arm.REAL:
        return candidates.exclude(pk__in=truths.filter(case__isnull=False).values("case"))
    return candidates.exclude(pk__in=truths.filter(result__isnull=False).values("result"))


def drawn(candidates: Iterable[Model], seed: int) -> list[Any]:
    """The candidates in a random order that the seed fixes."""
    found = list(candidates)
    return [found[index] for index in np.random.default_rng(seed).permutation(len(found))]


def item_picture(item: ReadingItem, truth: ItemTruth) -> bytes | None:
    """A small PNG of an item for its lead: as readers get it once it is prepared, else its source's slice.

    None where neither is there any more.
    """
    if item.pixels:
        return _png(_windowed(item))
    if truth.case is None:
        return None
    index = truth.first_slice + truth.slice_count // 2
    return _png(slice_picture(truth.case, min(index, truth.case.slice_count - 1), side=THUMBNAIL))


def result_picture(result: Result) -> bytes:
    """A small PNG of a result, marked as synthetic."""
    return _png(slice_picture(result.case, result.case.slice_count // 2, side=THUMBNAIL))


def _windowed(item: ReadingItem) -> Image.Image:
    frame = pixels_load(item)[item.frames // 2].astype(np.float64)
    center, width = item.window_center, item.window_width
    if center is None or not width:
        center, width = float(frame.mean()), float(max(np.ptp(frame), 1.0))
    grey = np.clip((frame - center) / width + 0.5, 0, 1) * 255
    image = Image.fromarray(np.rint(grey).astype(np.uint8))
    scale = THUMBNAIL / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC)


def _png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
