"""A series of counterfactuals: every slice of a request changed under the same noise, kept as one stack."""

from __future__ import annotations

import errno
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from synthesis.edit_request import PAINTED, CounterfactualRequest, EditOptions, passes_of, ways_of
from synthesis.edit_series import SeriesResult, Stack, edit_series
from synthesis.errors import SynthesisError
from synthesis.footprint import Footprint, footprint_of_edit
from synthesis.imaging.dicom_write import synthetic_slices, to_bytes
from synthesis.imaging.storage import Room, Stored, on_disk
from synthesis.request import OnStep, Step
from webapp.cases.files import scratch_folder
from webapp.jobs.edit_words import change_terms
from webapp.jobs.edits import edit_wish, mask_after_of
from webapp.jobs.estimates import TRIES_BACK, edit_calls
from webapp.jobs.making import making_of
from webapp.jobs.models import Job, Result, SynthesisRequest
from webapp.jobs.series_preparation import SeriesStack, series_stack
from webapp.jobs.services import Made, results_store
from workers.adapters import laid_adapters, recorded
from workers.lease import Work, handler_outcome
from workers.models import device_choose, judges_for, warm
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

SLICE_SECONDS = 120.0  # for reading and fitting one slice
SAVING_EACH = 2.0  # seconds more for every slice that is written


def series_counterfactual(work: Work, job: Job, request: SynthesisRequest) -> None:
    """Make the change in every slice that it concerns and keep all slices as one case, or nothing."""
    wish = edit_wish(request)
    previews = Previews(work)
    try:
        with plain_disk_errors(), scratch_folder() as folder:
            _make_and_keep(work, job, request, wish, previews, folder)
    finally:
        previews.clear()


def _make_and_keep(
    work: Work,
    job: Job,
    request: SynthesisRequest,
    wish: CounterfactualRequest,
    previews: Previews,
    folder: Path,
) -> None:
    """The same with its stacks and files in a folder, so that memory holds but a few slices."""
    room = room_in(folder)
    found = _read(work, request, room)
    work.stage("loading", seconds=LOADING_SECONDS, message="Loading the model")
    loaded = warm.get(request.model, device=device_choose(), need=need_of(request, wish))
    with plain_memory_errors(), laid_adapters.using(loaded, request.adapter) as model:
        result = edit_series(
            model,
            wish,
            _stack(found),
            on_step=_reporter(previews, wish),
            judges=judges_for(model),
            room=room,
        )
    limit = SAVING_SECONDS + SAVING_EACH * wish.count * len(found.indices)
    work.stage("saving", seconds=limit, message="Writing DICOM")
    kept = recorded(result, request.adapter)
    made = [series_made(job, request, wish, found, kept, index, folder) for index in range(wish.count)]
    with work.closing():
        told = {"images": wish.count, "slices": len(found.edited), "runs": ways_of(wish.options)}
        results_store(job_id=work.job_id, token=work.token, made=made, outcome=handler_outcome(work, told))
        work.finished = True


def room_in(folder: Path) -> Room:
    """Place for stacks in files of a folder; OSError from a disk that is full."""
    return partial(on_disk, folder)


@contextmanager
def plain_disk_errors() -> Iterator[None]:
    """Say in words that the disk is full: trying once more would make all slices anew and end there too."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise SynthesisError(
            "There was not enough room on the worker's disk for this series. Nothing was saved. "
            "Choose fewer slices or fewer images."
        ) from error


def as_recorded(wish: CounterfactualRequest, recipe: Mapping[str, Any]) -> CounterfactualRequest:
    """The wish as it was fulfilled: with what was decided for it then, and without undoing it."""
    decided = {name: recipe.get("options", {}).get(name) for name in ("strength", "contrast")}
    return replace(wish, options=replace(wish.options, undo=False, **decided))


def series_again(work: Work, result: Result) -> dict[str, Any]:
    """Make a changed series again as it was recorded; whether all of its pixels are the same."""
    request, numerics = result.request, result.recipe.get("numerics", {})
    wish = edit_wish(request)
    once = as_recorded(wish, result.recipe)
    previews = Previews(work)
    with plain_disk_errors(), scratch_folder() as folder:
        room = room_in(folder)
        found = _read(work, request, room)
        work.stage("loading", seconds=LOADING_SECONDS, message="Loading the model")
        loaded = warm.get(request.model, device=device_like(numerics), need=need_of(request, wish))
        try:
            with (
                plain_memory_errors(),
                threads_like(numerics),
                laid_adapters.using(loaded, request.adapter) as model,
            ):
                made = edit_series(model, once, _stack(found), on_step=_reporter(previews, once), room=room)
                again = recorded(made, request.adapter)
        finally:
            previews.clear()
        work.stage("comparing", seconds=SAVING_SECONDS, message="Comparing the pixels")
        return same_pixels(result, again, result.index, model)


def way_words(options: EditOptions, step: Step) -> str:
    """What a method is run for at this step: the change, no change, or the way back."""
    passes = passes_of(options)
    run = bisect_right([*accumulate(passes)], (step.step - 1) * sum(passes) // step.steps)
    return ("making the change", "asking for no change", "undoing the change")[run]


def steps_most(wish: CounterfactualRequest) -> float:
    """How many steps' time a slice may take: each is tried several times on the way back."""
    options = wish.options
    calls = max(ways_of(options) * options.steps * wish.count, edit_calls(options.to_json(), wish.count))
    return TRIES_BACK * calls


def need_of(request: SynthesisRequest, wish: CounterfactualRequest) -> Footprint | None:
    """What the change takes on a device: all images of a slice are changed in one batch."""
    return footprint_of_edit(request.model.recipe, method=wish.options.method, count=wish.count)


def _read(work: Work, request: SynthesisRequest, room: Room) -> SeriesStack:
    """The slices on the model's grid; each is a stage of its own, so that a cancel is heard in time."""
    work.stage("preparing", seconds=SLICE_SECONDS, message="Reading the slices")

    def on_slice(done: int, slices: int) -> None:
        work.stage("preparing", seconds=SLICE_SECONDS, message=f"Reading the slices, {done} of {slices}")

    return series_stack(request, mask_after=mask_after_of(request), on_slice=on_slice, room=room)


def _stack(found: SeriesStack) -> Stack:
    return Stack(
        images=found.images, labels=found.labels, labels_after=found.labels_after, edited=found.edited
    )


def _reporter(previews: Previews, wish: CounterfactualRequest) -> OnStep:
    """Progress slice by slice; each is a stage of its own."""

    def words(step: Step) -> str:
        doing = way_words(wish.options, step)
        return f"Slice {step.image} of {step.images}: {doing}, step {step.step} of {step.steps}"

    return previews.reporter(steps_most(wish), words)


def series_made(
    job: Job,
    request: SynthesisRequest,
    wish: CounterfactualRequest,
    found: SeriesStack,
    result: SeriesResult,
    index: int,
    folder: Path,
) -> Made:
    """One changed series with its DICOM files, which are written to `folder`, masks, recipe and numbers.

    Every slice lies where its source lies and names it, changed or not; the kept ones say that they are.
    """
    seed = wish.seeds[index]
    slices = {**result.recipe.get("slices", {}), "source": found.indices}
    recipe = {
        **result.recipe,
        "seed": seed,
        "request_seed": wish.seed,
        "image_index": index,
        "slices": slices,
    }
    stays = found.labels_after is None or wish.options.place == PAINTED
    labels = found.labels if stays or found.labels_after is None else found.labels_after
    return Made(
        index=index,
        seed=seed,
        name=f"{change_terms(request)}, series ({index + 1})"[:120],
        files=_files(job, request, found, recipe, result.images[index], folder, image=index + 1),
        mask=labels,
        labels=[label for label in request.label_set if int(label["value"]) != 0],
        recipe=recipe,
        pixel_sha256=result.pixel_sha256[index],
        attributes={key: value for key, value in wish.after.to_json().items() if value is not None},
        derived_from=request.case,
        numbers=_numbered(result.numbers[index], found),
        undone=None if result.undone is None else result.undone[index],
        original=found.images,
    )


def _numbered(numbers: dict[str, Any], found: SeriesStack) -> dict[str, Any]:
    """The numbers with each slice's place in the source."""
    rows = [{**row, "source": found.indices[row["slice"]]} for row in numbers.get("slices", [])]
    return {**numbers, "slices": rows}


def _files(
    job: Job,
    request: SynthesisRequest,
    found: SeriesStack,
    recipe: dict[str, Any],
    stored: Stored,
    folder: Path,
    *,
    image: int,
) -> list[Path]:
    case = request.case
    if case is None:
        raise ValueError("case: expected the source, got none.")
    series = synthetic_slices(
        stored,
        found.planes,
        modality=request.parameters["condition"]["modality"],
        making=making_of(job, request, recipe),
        subject=subject_of(case),
        image=image,
        thickness_mm=thickness_of(case, found.indices[found.edited[0]]),
        source=[source_of(case, index) for index in found.indices],
        description=change_terms(request),
    )
    paths = []
    for place, dataset in enumerate(series):
        if place not in found.edited:
            words = f"This slice was kept as its source shows it. {dataset.DerivationDescription}"
            dataset.DerivationDescription = words[:1024]
        paths.append(folder / f"image-{image}-{place}.dcm")
        paths[-1].write_bytes(to_bytes(dataset))
    return paths
