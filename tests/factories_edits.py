"""Cases that can be edited: phantom slices on the tiny model's grid with their exact labels."""

from __future__ import annotations

from typing import Any

from synthesis.phantoms import DEMO_SERIES
from tests import factories

SHAPE = (3, 128, 128)
CHANGE: dict[str, Any] = {
    "before": {"modality": "CT", "severity": "none", "age": 58.0, "sex": "M"},
    "condition": {"modality": "CT", "severity": "severe", "age": 58.0, "sex": "M"},
    "edit": {"strength": 0.5, "steps": 2},
}


def phantom_case(user: Any) -> Any:
    """The demo's healthy CT phantom, three slices, in a dataset where the person may paint."""
    from webapp.cases.demo import demo_make
    from webapp.cases.models import DatasetShare

    made = demo_make(owner=factories.person("data_manager"), plans=DEMO_SERIES[:1], shape=SHAPE)
    DatasetShare.objects.get_or_create(dataset=made, user=user, defaults={"level": "annotate"})
    return made.cases.get()


def edit_request(user: Any, *, case: Any = None, **fields: Any) -> Any:
    """A counterfactual asked for of a phantom's middle slice, handed in with its job."""
    from webapp.jobs.services import edit_submit

    case = case or phantom_case(user)
    values = {"model": fields.pop("model", None) or factories.generative_model(), "parameters": CHANGE}
    values |= {"mask": case.masks.earliest("created_at"), "slice_index": 1, "seed": 7}
    return edit_submit(user=user, case=case, **(values | fields))


def edit_form(case: Any, model: Any, **changed: Any) -> dict[str, Any]:
    """What the form sends as it opens, with some of it changed."""
    return {
        "case": case.pk, "mask": case.masks.earliest("created_at").pk, "slice_number": 2, "modality": "CT",
        "model": model.pk,
        "was_severity": "0", "was_steatosis": "0", "was_age": "58", "was_sex": "M", "to_severity": "3",
        "method": "flow_inversion", "strength": "0.5", "steps": "4", "where": "belongs", "blend": "",
        "drift": "0", "count": "1", "variety": "0.5", "undo": "yes", "weight": "16", "reach": "0.9",
    } | changed  # fmt: skip


def edited_result(user: Any, *, request: Any = None, shifts: tuple[int, ...] = (25,)) -> Any:
    """A counterfactual's first result as a worker keeps it: the source with the liver brighter by the shift.

    `shifts` in HU, one for each image of the request.
    """
    from synthesis.edit_request import edited_region
    from webapp.jobs.edits import edit_wish
    from webapp.jobs.services import job_claim, results_store

    request = request or edit_request(user)
    wish = edit_wish(request)
    region = edited_region(wish.labels, wish.target_labels, wish.before, wish.after)
    claim = job_claim(queue="compute", worker="test")
    assert claim is not None
    assert claim.job_id == request.jobs.get().pk
    made = [_edited(request, wish, region, index, shift) for index, shift in enumerate(shifts)]
    return results_store(job_id=claim.job_id, token=claim.token, made=made)[0]


def _edited(request: Any, wish: Any, region: Any, index: int, shift: int) -> Any:
    import numpy as np

    from synthesis.imaging.storage import pixel_sha256
    from synthesis.metrics.minimality import minimality
    from workers.counterfactuals import made_of

    image = (wish.image + shift * region).astype(np.float32)
    undone = (wish.image + 2 * region).astype(np.float32)
    shares = {"none": 0.0, "low": 0.1, "mild": 0.2, "severe": 0.7}
    numbers = minimality(image, wish.image, region, data_range=500.0) | {
        "undone": minimality(undone, wish.image, region, data_range=500.0),
        "severity": {"before": {"none": 1.0}, "after": shares, "followed": False},
    }
    return made_of(
        request.jobs.get(),
        request,
        wish,
        index=index,
        image=image,
        undone=undone,
        recipe={"model": {"name": "tiny"}, "versions": {}},
        pixel_sha256=pixel_sha256(image.astype(np.int16)),
        numbers=dict(numbers),
    )


def psnr_undone(result: Any) -> float:
    """Of what is kept of an undone change to the original, in dB: 10 log10(500^2 / mean square), CT in HU."""
    import numpy as np

    from webapp.jobs.edit_maps import pixels_of

    apart = pixels_of(result, "undone").astype(np.float64) - pixels_of(result, "original")
    return float(10 * np.log10(500.0**2 / np.mean(apart**2)))
