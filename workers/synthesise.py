"""Synthesis: a request becomes images, DICOM and records; and a result is made again and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from synthesis.checkpoints import LoadedModel
from synthesis.edit_request import CounterfactualResult
from synthesis.edit_series import SeriesResult
from synthesis.errors import SynthesisError
from synthesis.generate import generate
from synthesis.imaging.dicom_write import invented_subject, synthetic_slices, to_bytes
from synthesis.imaging.plane import flat_plane
from synthesis.imaging.storage import to_stored
from synthesis.imaging.uncertainty import Options, UncertaintyMap
from synthesis.reproduction import differences
from synthesis.request import Condition, OnStep, SamplerOptions, Step, SynthesisResult
from synthesis.request import SynthesisRequest as Wish
from synthesis.uncertainty import check_map, uncertainty_map
from webapp.cases.selectors import case_slice
from webapp.jobs.edits import is_edit
from webapp.jobs.estimates import DRAWING
from webapp.jobs.making import condition_terms, making_of
from webapp.jobs.models import Job, Result, SynthesisRequest
from webapp.jobs.pictures import preview_png
from webapp.jobs.requests import labels_of
from webapp.jobs.selectors import job_for_worker, result_for_worker
from webapp.jobs.services import Made, results_store
from workers.adapters import laid_adapters, recorded
from workers.comparisons import compared
from workers.lease import Work, handler_outcome
from workers.models import device_choose, judge_for, judges_for, warm

LOADING_SECONDS = 1200.0  # for weights of tens of gigabytes
IMAGE_SECONDS = 60.0  # for one image, plus STEP_SECONDS for each of its steps
STEP_SECONDS = 20.0
SAVING_SECONDS = 120.0


def synthesise(work: Work) -> None:
    """Make the images that a request asks for and keep them as personal cases with their masks."""
    job = job_for_worker(work.job_id)
    if job.request is None:
        raise SynthesisError("This job has lost its request, so nothing can be made.")
    request = job.request
    work.stage("loading", seconds=LOADING_SECONDS, message="Loading the model")
    loaded = warm.get(request.model, device=device_choose())
    wish = wish_of(request)
    probes = Options().probes if request.parameters.get("uncertainty") else 0
    previews = Previews(work, after=probes * wish.count)
    try:
        with plain_memory_errors(), laid_adapters.using(loaded, request.adapter) as model:
            if probes:
                check_map(model, guidance=wish.sampler.guidance)
            reporter = previews.reporter(wish.sampler.steps)
            result = recorded(
                generate(model, wish, on_step=reporter, judge=judge_for(model)), request.adapter
            )
            maps = uncertainties(model, wish, result, previews) if probes else {}
        work.stage("saving", seconds=SAVING_SECONDS, message="Writing DICOM")
        compare_all(request, model, wish, result)
        made = [
            make_one(job, request, wish, result, index, uncertainty=maps.get(index))
            for index in range(wish.count)
        ]
        with work.closing():
            outcome = handler_outcome(work, {"images": wish.count})
            results_store(job_id=work.job_id, token=work.token, made=made, outcome=outcome)
            work.finished = True
    finally:
        previews.clear()


def wish_of(request: SynthesisRequest) -> Wish:
    """The stored request as the mathematics takes it."""
    row, column = request.grid["spacing_mm"]
    return Wish(
        labels=labels_of(request),
        spacing_mm=(float(row), float(column)),
        condition=Condition.from_json(request.parameters["condition"]),
        sampler=SamplerOptions.from_json(request.parameters["sampler"]),
        seed=request.seed,
        count=request.count,
    )


def uncertainties(
    model: LoadedModel, wish: Wish, result: SynthesisResult, previews: Previews
) -> dict[int, UncertaintyMap]:
    """The uncertainty map of every image."""
    return {
        index: uncertainty_map(
            model,
            result.images[index],
            wish.labels,
            wish.condition,
            seed=seed,
            on_probe=previews.prober(index, wish.count, wish.sampler.steps),
        )
        for index, seed in enumerate(result.seeds)
    }


def compare_all(request: SynthesisRequest, model: LoadedModel, wish: Wish, result: SynthesisResult) -> None:
    """Add to every quality report the severity that is read and the nearest training case."""
    judges, adapted = judges_for(model), bool(result.recipe.get("adapter"))
    for image, report in zip(result.images, result.quality, strict=True):
        report |= compared(request.model, model, judges, image, wish.labels, wish.condition, adapted=adapted)


def make_one(
    job: Job,
    request: SynthesisRequest,
    wish: Wish,
    result: SynthesisResult,
    index: int,
    *,
    uncertainty: UncertaintyMap | None = None,
) -> Made:
    """One image with its DICOM file, mask, recipe and quality, ready to be kept.

    It lies around the origin of a frame of reference of its own, whatever the source's place was.
    """
    condition = wish.condition
    recipe = {**result.recipe, "seed": result.seeds[index], "request_seed": wish.seed, "image_index": index}
    rows, columns = wish.labels.shape
    series = synthetic_slices(
        to_stored(result.images[index], condition.modality)[None],
        [flat_plane((rows, columns), wish.spacing_mm)],
        modality=condition.modality,
        making=making_of(job, request, recipe),
        subject=invented_subject(str(job.pk), sex=condition.sex, age=condition.age),
        image=index + 1,
        description=condition_terms(request),
    )
    return Made(
        index=index,
        seed=result.seeds[index],
        name=f"{condition_terms(request)} ({index + 1})",
        files=[to_bytes(dataset) for dataset in series],
        mask=wish.labels.astype(np.uint16)[None],
        labels=[label for label in request.label_set if int(label["value"]) != 0],
        recipe=recipe,
        pixel_sha256=result.pixel_sha256[index],
        attributes={key: value for key, value in condition.to_json().items() if value is not None},
        quality=result.quality[index],
        uncertainty=uncertainty,
    )


def _step_words(step: Step) -> str:
    return f"Image {step.image} of {step.images}, step {step.step} of {step.steps}"


class Previews:
    """Progress of a drawing job, with a picture now and then; older pictures are removed.

    `after` steps of other work follow when all images are drawn.
    """

    def __init__(self, work: Work, *, after: int = 0) -> None:
        self._work = work
        self._after = after
        self._image = 0
        self._stored: list[str] = []

    def reporter(self, steps: float, words: Callable[[Step], str] | None = None) -> OnStep:
        """What `generate` calls after each step. Every image is a stage, so a hang shows in time.

        words: what is said of a step; its image and number where none are given.
        """
        limit = IMAGE_SECONDS + STEP_SECONDS * steps
        self._work.stage(DRAWING, seconds=limit, message="Drawing")

        def on_step(step: Step) -> None:
            if step.image != self._image:
                self._image = step.image
                self._work.stage(DRAWING, seconds=limit)
            done = (step.image - 1) * step.steps + step.step
            total = step.images * step.steps + self._after
            message = (words or _step_words)(step)
            self._work.step(done, total, message=message, preview=self._picture(step, done))
            self._forget_all_but(2)  # a browser may be about to ask for the one before

        return on_step

    def prober(self, index: int, images: int, steps: int) -> Callable[[int, int], None]:
        """What `uncertainty_map` calls after some of its probes, for image `index` of `images`."""
        limit = IMAGE_SECONDS + STEP_SECONDS * Options().probes
        self._work.stage(DRAWING, seconds=limit)

        def on_probe(done: int, probes: int) -> None:
            before = images * steps + index * probes
            message = f"Uncertainty of image {index + 1} of {images}, probe {done} of {probes}"
            self._work.step(before + done, images * steps + self._after, message=message)

        return on_probe

    def _picture(self, step: Step, done: int) -> str | None:
        if step.preview is None or not self._work.wants_preview:
            return None
        name = f"previews/{self._work.job_id}/{self._work.token}-{done}.png"
        self._stored.append(default_storage.save(name, ContentFile(preview_png(step.preview))))
        return self._stored[-1]

    def _forget_all_but(self, number: int) -> None:
        while len(self._stored) > number:
            default_storage.delete(self._stored.pop(0))

    def clear(self) -> None:
        """Remove the last pictures: from now on the result itself is shown, or nothing."""
        self._forget_all_but(0)


def reproduce(work: Work) -> dict[str, Any]:
    """Make a result's image again, as nearly as this worker can under the recorded circumstances."""
    job = job_for_worker(work.job_id)
    result = result_for_worker(job.payload["result_id"])
    if is_edit(result.request):
        return _edited_again(work, result)
    request, recipe = result.request, result.recipe
    numerics = recipe.get("numerics", {})
    work.stage("loading", seconds=LOADING_SECONDS, message="Loading the model")
    loaded = warm.get(request.model, device=device_like(numerics))
    batch = int(numerics.get("batch", 1))
    whole = wish_of(request)
    wish = whole if batch > 1 else _only(whole, result)
    index = result.index if batch > 1 else 0
    previews = Previews(work)
    try:
        with (
            plain_memory_errors(),
            threads_like(numerics),
            laid_adapters.using(loaded, request.adapter) as model,
        ):
            reporter = previews.reporter(wish.sampler.steps)
            again = recorded(generate(model, wish, batch=batch, on_step=reporter), request.adapter)
    finally:
        previews.clear()
    work.stage("comparing", seconds=SAVING_SECONDS, message="Comparing the pixels")
    return same_pixels(result, again, index, model)


def _edited_again(work: Work, result: Result) -> dict[str, Any]:
    from workers.counterfactuals import edited_again  # it stands on this module

    return edited_again(work, result)


def same_pixels(
    result: Result,
    again: SynthesisResult | CounterfactualResult | SeriesResult,
    index: int,
    model: LoadedModel,
) -> dict[str, Any]:
    """Whether the pixels are the same; where not, by how much, and what is different from then."""
    modality = result.request.parameters["condition"]["modality"]
    made = again.images[index]
    slices = made if made.ndim == 3 else made[None]
    changed, largest = 0, 0.0
    for place, image in enumerate(slices):
        now = image if image.dtype == np.int16 else to_stored(image, modality)
        apart = np.abs(now - case_slice(result.case, place).array)
        changed, largest = changed + int((apart > 0).sum()), max(largest, float(apart.max()))
    return {
        "match": again.pixel_sha256[index] == result.pixel_sha256,
        "expected": result.pixel_sha256,
        "got": again.pixel_sha256[index],
        "differs": differences(result.recipe, again.recipe),
        "changed_pixels": changed,
        "changed_percent": round(100.0 * changed / made.size, 2),
        "largest_difference": round(largest, 1),
        "unit": "HU" if modality == "CT" else "units of signal",
        "weights_sha256": model.weights_sha256,
    }


def _only(whole: Wish, result: Result) -> Wish:
    """The wish for one image of several: its own seed makes its noise."""
    return Wish(
        labels=whole.labels,
        spacing_mm=whole.spacing_mm,
        condition=whole.condition,
        sampler=whole.sampler,
        seed=result.seed,
        count=1,
    )


def device_like(numerics: dict[str, Any]) -> str:
    """The kind of device that was recorded, where this worker has it; its own otherwise."""
    own = device_choose()
    if numerics.get("device") == "cpu":
        return "cpu"
    return own


@contextmanager
def threads_like(numerics: dict[str, Any]) -> Iterator[None]:
    """As many torch threads as were recorded, for a while."""
    before = torch.get_num_threads()
    wanted = int(numerics.get("threads") or before)
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def plain_memory_errors() -> Iterator[None]:
    """A device without enough memory is a matter of settings, not of luck: say so and do not try again."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise SynthesisError(
            "There was not enough memory on the worker for these images. Nothing was saved. Ask for "
            "fewer images at a time, or for a smaller model."
        ) from error
