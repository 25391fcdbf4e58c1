"""Counterfactuals: a stored wish becomes changed images, DICOM that names its source, and records."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
from pydicom.tag import Tag

from synthesis.edit import edit
from synthesis.edit_request import CounterfactualRequest, CounterfactualResult
from synthesis.errors import SynthesisError
from synthesis.imaging.dicom_write import Source, Subject, derived_uid, synthetic_series, to_bytes
from synthesis.imaging.plane import Plane
from synthesis.imaging.storage import to_stored
from synthesis.request import Image, OnStep, Step
from webapp.cases.models import Case
from webapp.jobs.edit_words import change_terms
from webapp.jobs.edits import edit_wish
from webapp.jobs.making import making_of
from webapp.jobs.models import Job, Result, SynthesisRequest
from webapp.jobs.selectors import job_for_worker
from webapp.jobs.services import Made, results_store
from workers.lease import Work, handler_outcome
from workers.models import device_choose, judges_for, warm
from workers.synthesise import (
    LOADING_SECONDS,
    SAVING_SECONDS,
    Previews,
    device_like,
    plain_memory_errors,
    same_pixels,
    threads_like,
)

YEARS_OF = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}


def counterfactual(work: Work) -> None:
    """Make the change that a request asks for and keep what came of it as personal cases."""
    job = job_for_worker(work.job_id)
    request = job.request
    if request is None or request.case is None:
        raise SynthesisError("The source of this counterfactual was deleted, so nothing can be made of it.")
    wish = edit_wish(request)
    work.stage("loading", seconds=LOADING_SECONDS, message="Loading the model")
    model = warm.get(request.model, device=device_choose())
    previews = Previews(work)
    try:
        with plain_memory_errors():
            result = edit(model, wish, on_step=_reporter(previews, wish), judges=judges_for(model))
        work.stage("saving", seconds=SAVING_SECONDS, message="Writing DICOM")
        made = [_made(job, request, wish, result, index) for index in range(wish.count)]
        with work.closing():
            outcome = handler_outcome(work, {"images": wish.count})
            results_store(job_id=work.job_id, token=work.token, made=made, outcome=outcome)
            work.finished = True
    finally:
        previews.clear()


def edited_again(work: Work, result: Result) -> dict[str, Any]:
    """Make a counterfactual's image again as it was recorded; whether its pixels are the same."""
    wish = edit_wish(result.request)
    numerics = result.recipe.get("numerics", {})
    once = replace(wish, options=replace(wish.options, undo=False))
    work.stage("loading", seconds=LOADING_SECONDS, message="Loading the model")
    model = warm.get(result.request.model, device=device_like(numerics))
    previews = Previews(work)
    try:
        with plain_memory_errors(), threads_like(numerics):
            again = edit(model, once, on_step=_reporter(previews, once), judges=judges_for(model))
    finally:
        previews.clear()
    work.stage("comparing", seconds=SAVING_SECONDS, message="Comparing the pixels")
    return same_pixels(result, again, result.index, model)


def _reporter(previews: Previews, wish: CounterfactualRequest) -> OnStep:
    """Progress over the way there and, where it is asked for, the way back; all images at once."""
    options = wish.options
    ways = 2 if options.undo else 1

    def words(step: Step) -> str:
        undoing = options.undo and 2 * step.step > step.steps
        return f"{'Undoing' if undoing else 'Making'} the change, step {step.step} of {step.steps}"

    return previews.reporter(4 * ways * options.steps * wish.count, words)


def _made(
    job: Job, request: SynthesisRequest, wish: CounterfactualRequest, result: CounterfactualResult, index: int
) -> Made:
    return made_of(
        job,
        request,
        wish,
        index=index,
        image=result.images[index],
        undone=None if result.undone is None else result.undone[index],
        recipe=result.recipe,
        pixel_sha256=result.pixel_sha256[index],
        numbers=result.numbers[index],
    )


def made_of(
    job: Job,
    request: SynthesisRequest,
    wish: CounterfactualRequest,
    *,
    index: int,
    image: Image,
    undone: Image | None,
    recipe: dict[str, Any],
    pixel_sha256: str,
    numbers: dict[str, Any],
) -> Made:
    """One changed image with its DICOM file, mask, recipe and numbers, ready to be kept.

    It lies where the source's pixels lay on the model's grid, in the source's study and frame of reference.
    """
    modality, source, seed = wish.after.modality, request.case, wish.seeds[index]
    if source is None:
        raise ValueError("case: expected the source, got none.")
    whole = {**recipe, "seed": seed, "request_seed": wish.seed, "image_index": index}
    series = synthetic_series(
        to_stored(image, modality)[None],
        [Plane.from_json(request.prepared["plane"])],
        modality=modality,
        making=making_of(job, request, whole),
        subject=_subject(source),
        image=index + 1,
        thickness_mm=_thickness(source),
        source=_source(source, int(request.slice_index or 0)),
        description=change_terms(request),
    )
    return Made(
        index=index,
        seed=seed,
        name=f"{change_terms(request)} ({index + 1})"[:120],
        files=[to_bytes(dataset) for dataset in series],
        mask=wish.target_labels.astype(np.uint16)[None],
        labels=[label for label in request.label_set if int(label["value"]) != 0],
        recipe=whole,
        pixel_sha256=pixel_sha256,
        attributes={key: value for key, value in wish.after.to_json().items() if value is not None},
        derived_from=source,
        numbers=numbers,
        undone=None if undone is None else to_stored(undone, modality),
    )


def _thickness(case: Case) -> float:
    between = case.spacing_mm[2] if len(case.spacing_mm) > 2 else None
    return float(between) if between else 5.0


def _instance(case: Case, index: int) -> Any:
    number, frame = case.stack[index]
    return case.instances.get(number=number), int(frame)


def _source(case: Case, index: int) -> Source:
    """The slice that was changed, as DICOM names it; a source without a frame of reference gets one."""
    instance, frame = _instance(case, index)
    return Source(
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        study_uid=case.study_uid,
        frame_of_reference_uid=case.frame_of_reference_uid
        or derived_uid(case.series_uid, "frame of reference"),
        frame_number=frame + 1 if instance.frame_count > 1 else None,
    )


def _subject(case: Case) -> Subject:
    """The source's pseudonym, sex and age: one patient of one study has one of each, whatever is shown."""
    instance, _frame = _instance(case, 0)
    number, name = (_text(instance.metadata, keyword) for keyword in ("PatientID", "PatientName"))
    pseudonym = number or case.patient or f"SOURCE-{str(case.pk)[:8].upper()}"
    return Subject(
        patient_id=pseudonym,
        patient_name=name or pseudonym,
        sex=_text(instance.metadata, "PatientSex") or None,
        age=_years(_text(instance.metadata, "PatientAge")),
    )


def _years(text: str) -> float | None:
    """An age string of DICOM ("058Y", "006M") in years; None where it is none."""
    match = re.fullmatch(r"(\d{3})([DWMY])", text)
    return int(match[1]) * YEARS_OF[match[2]] if match else None


def _text(metadata: dict[str, Any], keyword: str) -> str:
    """A value of the DICOM JSON model as text; empty where there is none."""
    values = metadata.get(f"{int(Tag(keyword)):08X}", {}).get("Value") or [""]
    first = values[0]
    return str(first.get("Alphabetic", "") if isinstance(first, dict) else first or "")
