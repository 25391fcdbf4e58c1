"""Counterfactuals: a stored wish becomes changed images, DICOM that names its source, and records."""

from __future__ import annotations

from typing import Any

import numpy as np

from synthesis.edit import edit
from synthesis.edit_request import CounterfactualRequest, CounterfactualResult, ways_of
from synthesis.errors import SynthesisError
from synthesis.imaging.dicom_write import synthetic_slices, to_bytes
from synthesis.imaging.plane import Plane
from synthesis.imaging.storage import to_stored
from synthesis.request import Image, OnStep, Step
from webapp.jobs.edit_words import change_terms
from webapp.jobs.edits import edit_wish, slices_of
from webapp.jobs.making import making_of
from webapp.jobs.models import Job, Result, SynthesisRequest
from webapp.jobs.selectors import job_for_worker
from webapp.jobs.services import Made, results_store
from workers.adapters import laid_adapters, recorded
from workers.lease import Work, handler_outcome
from workers.models import device_choose, judges_for, warm
from workers.series import (
    as_recorded,
    need_of,
    series_again,
    series_counterfactual,
    steps_most,
    way_words,
)
from workers.sources import source_of, subject_of, thickness_of
from workers.synthesise import (
    LOADING_SECONDS,
    SAVING_SECONDS,
    Previews,
    device_like,
    plain_memory_errors,
    same_pixels,
    threads_like,
)


def counterfactual(work: Work) -> None:
    """Make the change that a request asks for and keep what came of it as personal cases."""
    job = job_for_worker(work.job_id)
    request = job.request
    if request is None or request.case is None:
        raise SynthesisError("The source of this counterfactual was deleted, so nothing can be made of it.")
    if slices_of(request) is not None:
        series_counterfactual(work, job, request)
        return
    wish = edit_wish(request)
    work.stage("loading", seconds=LOADING_SECONDS, message="Loading the model")
    loaded = warm.get(request.model, device=device_choose(), need=need_of(request, wish))
    previews = Previews(work)
    try:
        with plain_memory_errors(), laid_adapters.using(loaded, request.adapter) as model:
            made_by = edit(model, wish, on_step=_reporter(previews, wish), judges=judges_for(model))
            result = recorded(made_by, request.adapter)
        work.stage("saving", seconds=SAVING_SECONDS, message="Writing DICOM")
        made = [_made(job, request, wish, result, index) for index in range(wish.count)]
        with work.closing():
            outcome = handler_outcome(work, {"images": wish.count, "runs": ways_of(wish.options)})
            results_store(job_id=work.job_id, token=work.token, made=made, outcome=outcome)
            work.finished = True
    finally:
        previews.clear()


def edited_again(work: Work, result: Result) -> dict[str, Any]:
    """Make a counterfactual's image again as it was recorded; whether its pixels are the same."""
    if slices_of(result.request) is not None:
        return series_again(work, result)
    wish = edit_wish(result.request)
    numerics = result.recipe.get("numerics", {})
    once = as_recorded(wish, result.recipe)
    work.stage("loading", seconds=LOADING_SECONDS, message="Loading the model")
    loaded = warm.get(result.request.model, device=device_like(numerics), need=need_of(result.request, wish))
    adapter = result.request.adapter
    previews = Previews(work)
    try:
        with (
            plain_memory_errors(),
            threads_like(numerics),
            laid_adapters.using(loaded, adapter) as model,
        ):
            made = edit(model, once, on_step=_reporter(previews, once), judges=judges_for(model))
            again = recorded(made, adapter)
    finally:
        previews.clear()
    work.stage("comparing", seconds=SAVING_SECONDS, message="Comparing the pixels")
    return same_pixels(result, again, result.index, model)


def _reporter(previews: Previews, wish: CounterfactualRequest) -> OnStep:
    """Progress over the way there and, where it is asked for, the way back; all images at once."""

    def words(step: Step) -> str:
        return f"{way_words(wish.options, step).capitalize()}, step {step.step} of {step.steps}"

    return previews.reporter(steps_most(wish), words)


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
    place = int(request.slice_index or 0)
    series = synthetic_slices(
        to_stored(image, modality)[None],
        [Plane.from_json(request.prepared["plane"])],
        modality=modality,
        making=making_of(job, request, whole),
        subject=subject_of(source),
        image=index + 1,
        thickness_mm=thickness_of(source, place),
        source=source_of(source, place),
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
