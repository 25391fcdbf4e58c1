"""Series of counterfactuals: asked for of a phantom's slices, and made without a network."""

from __future__ import annotations

from typing import Any

from tests.factories_edits import edit_request, phantom_case


def partly_masked_case(user: Any) -> Any:
    """The phantom's three slices; the newest mask has none on the first."""
    from webapp.cases.selectors import mask_array
    from webapp.cases.services import mask_save

    case = phantom_case(user)
    if case.masks.filter(name="Two slices").exists():
        return case
    mask = case.masks.get()
    voxels = mask_array(mask)
    voxels[0] = 0
    mask_save(
        user=case.dataset.owner,
        case=case,
        name="Two slices",
        array=voxels,
        labels=mask.labels,
        origin="painted",
    )
    return case


def part(case: Any) -> Any:
    """Its mask that leaves the first slice out."""
    return case.masks.get(name="Two slices")


def series_request(user: Any, *, case: Any = None, **fields: Any) -> Any:
    """The change asked for in all slices of the phantom, the first of which has no mask."""
    case = case or partly_masked_case(user)
    values = {"mask": part(case), "slices": (0, case.slice_count - 1)}
    return edit_request(user, case=case, **(values | fields))


def series_result(user: Any, *, request: Any = None, shift: int = 25) -> Any:
    """Its result as a worker keeps it: the liver `shift` HU brighter in every changed slice."""
    import numpy as np

    from synthesis.edit_request import edited_region
    from synthesis.edit_series import SeriesResult, together
    from synthesis.imaging.storage import pixel_sha256
    from synthesis.metrics.through_plane import through_plane
    from webapp.cases.files import scratch_folder
    from webapp.jobs.edits import edit_wish
    from webapp.jobs.series_preparation import series_stack
    from webapp.jobs.services import job_claim, results_store
    from workers.series import series_made

    request = request or series_request(user)
    wish, found = edit_wish(request), series_stack(request)
    region = np.zeros(found.images.shape, bool)
    for place in found.edited:
        labels = found.labels[place]
        region[place] = edited_region(labels, labels, wish.before, wish.after)
    image = (found.images + shift * region).astype(np.int16)
    undone = (found.images + 2 * region).astype(np.int16)
    shares = {"none": 0.0, "low": 0.1, "mild": 0.2, "severe": 0.7}
    severity = {"before": {"none": 1.0}, "after": shares, "followed": False}
    places = found.edited
    numbers = together(image[places], found.images[places], region[places], data_range=500.0) | {
        "undone": together(undone[places], found.images[places], region[places], data_range=500.0),
        "severity": severity | {"slices": len(places)},
        "through_plane": through_plane(image, found.images, region),
        "slices": [
            {"slice": place, "inside": float(shift), "outside": 0.0, "severity": severity} for place in places
        ],
    }
    claim = job_claim(queue="compute", worker="test")
    assert claim is not None
    result = SeriesResult(
        images=image[None],
        undone=undone[None],
        region=region,
        numbers=[numbers],
        recipe={
            "model": {"name": "tiny"},
            "versions": {},
            "slices": {"count": len(image), "edited": list(places)},
        },
        pixel_sha256=[pixel_sha256(image)],
        seconds=1.0,
    )
    with scratch_folder() as folder:
        made = series_made(request.jobs.get(), request, wish, found, result, 0, folder)
        return results_store(job_id=claim.job_id, token=claim.token, made=[made])[0]
