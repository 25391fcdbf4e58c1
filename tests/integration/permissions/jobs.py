"""Rows about requests, jobs and results."""

from collections.abc import Callable
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from tests import factories
from tests.integration.permissions.rows import Row
from webapp.jobs.models import Job, Result, SynthesisRequest

ASKING = "clinician researcher"
SEEING = "clinician researcher study_lead data_manager"
WORKING = "clinician researcher data_manager study_lead administrator"


def requester(person: Any) -> Any:
    """The person where they may ask for images, else a clinician."""
    may = person is not None and person.has_role("clinician", "researcher")
    return person if may else factories.person("clinician")


def import_job(person: Any) -> Any:
    """A job of the person's own that needs no right to ask for images."""
    from webapp.jobs.services import job_submit

    owner = person if person is not None else factories.person("data_manager")
    return job_submit(kind="import_cases", owner=owner, payload={})


def failed(job: Job) -> Job:
    """The job, failed."""
    from webapp.jobs.services import job_cancel

    return job_cancel(user=job.owner, job=job)


def own_request(person: Any) -> Any:
    """A request of the person, or of a clinician where the person may not ask."""
    return factories.synthesis_request(requester(person))


def own_result(person: Any) -> Any:
    """A result of the person, or of a clinician where the person may not ask."""
    return factories.result(requester(person))


def own_mapped_result(person: Any) -> Any:
    """A result with an uncertainty map and a nearest training phantom, of the person or of a clinician."""
    result = own_result(person)
    result.quality = {"nearest": {"case": "phantom 3", "distance": 4.0, "closer_than_training": 0.5}}
    result.save()
    factories.uncertainty(result)
    return result


def own_grid(person: Any) -> Any:
    """A grid of severities of the person, or of a clinician where the person may not ask."""
    return factories.severity_grid(requester(person))


def export_to(level: str) -> Callable[[Any], Any]:
    """A finished export of the person's own, of a dataset that is shared with them at that level."""

    def build(person: Any) -> Any:
        from webapp.jobs.services import job_submit

        owner = person if person is not None else factories.person("data_manager")
        dataset = factories.dataset(shares={owner: level})
        payload = {"dataset_id": str(dataset.pk), "form": "nifti"}
        job = job_submit(kind="export", owner=owner, payload=payload, subject_id=dataset.pk)
        file = default_storage.save(f"exports/{dataset.pk}/{job.pk}.zip", ContentFile(b"zip"))
        outcome = {"file": file, "size": 3, "cases": 1, "masks": 0, "left_out": 0}
        Job.objects.filter(pk=job.pk).update(state="succeeded", finished_at=timezone.now(), outcome=outcome)
        return job

    return build


def beside(whose: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    """The address of a comparison: the result, and another of its owner or of somebody else."""
    return lambda result: (result.pk, whose(result.request.owner).pk)


OBJECTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "requests": ("jobs.SynthesisRequest", lambda _: SynthesisRequest),
    "own request": ("jobs.SynthesisRequest", own_request),
    "another's request": ("jobs.SynthesisRequest", lambda _: own_request(None)),
    "jobs": ("jobs.Job", lambda _: Job),
    "own job": ("jobs.Job", import_job),
    "own cancelled job": (
        "jobs.Job",
        lambda person: failed(import_job(person if person and person.has_role(*WORKING.split()) else None)),
    ),
    "another's job": ("jobs.Job", lambda _: import_job(None)),
    "export of a managed dataset": ("jobs.Job", export_to("manage")),
    "export of a seen dataset": ("jobs.Job", export_to("view")),
    "another's export": ("jobs.Job", lambda _: export_to("manage")(factories.person("data_manager"))),
    "own grid": ("jobs.SeverityGrid", own_grid),
    "another's grid": ("jobs.SeverityGrid", lambda _: own_grid(None)),
    "own result with a map": ("jobs.Result", own_mapped_result),
    "another's result with a map": ("jobs.Result", lambda _: own_mapped_result(None)),
    "results": ("jobs.Result", lambda _: Result),
    "own result": ("jobs.Result", own_result),
    "another's result": ("jobs.Result", lambda _: own_result(None)),
}

ROWS: list[Row] = [
    Row(obj="requests", asks="GET jobs:dashboard", may="all"),
    Row(obj="requests", action="view", may=ASKING),
    Row(obj="requests", action="create", may=ASKING, asks="GET jobs:synthesise"),
    Row(obj="requests", action="create", may=ASKING, asks="POST jobs:synthesise-check"),
    Row(obj="requests", action="create", may=ASKING, asks="POST jobs:synthesise-apply"),
    Row(obj="requests", action="create", may=ASKING, asks="POST jobs:grid-create", accepts=(302, 422)),
    Row(obj="own grid", action="view", may=ASKING, asks="GET jobs:grid-detail"),
    Row(obj="own grid", action="view", may=ASKING, asks="GET jobs:grid-fragment"),
    Row(obj="another's grid", action="view", asks="GET jobs:grid-detail"),
    Row(obj="another's grid", action="view", asks="GET jobs:grid-fragment"),
    Row(obj="own request", action="view", may=ASKING),
    Row(obj="own request", action="request", may=ASKING),
    Row(obj="another's request", action="view"),
    Row(obj="another's request", action="request"),
    Row(obj="jobs", action="view", may=WORKING, asks="GET jobs:job-list"),
    Row(obj="jobs", asks="GET jobs:drawer", may="all"),
    Row(obj="own job", action="view", may=WORKING, asks="GET jobs:job-detail"),
    Row(obj="own job", action="view", may=WORKING, asks="GET jobs:job-fragment"),
    Row(obj="own job", action="cancel", may=WORKING, asks="POST jobs:job-cancel"),
    Row(obj="own job", action="retry", may=WORKING),
    Row(obj="own cancelled job", asks="POST jobs:job-retry", may=WORKING),
    Row(obj="another's job", action="view", may="administrator", asks="GET jobs:job-detail"),
    Row(obj="another's job", action="view", may="administrator", asks="GET jobs:job-fragment"),
    Row(obj="another's job", action="cancel", may="administrator", asks="POST jobs:job-cancel"),
    Row(obj="another's job", action="retry", sees="administrator", asks="POST jobs:job-retry"),
    Row(obj="another's job", asks="GET jobs:job-preview"),
    Row(
        obj="export of a managed dataset",
        asks="GET jobs:job-file",
        may="data_manager",
        sees=SEEING,
    ),
    Row(
        obj="export of a seen dataset",
        asks="GET jobs:job-file",
        sees=SEEING,
    ),
    Row(obj="another's export", asks="GET jobs:job-file"),
    *[
        Row(obj=obj, asks=f"GET api:{address}", may=may, sees=SEEING)
        for address in ("export-detail", "export-download")
        for obj, may in (("export of a managed dataset", "data_manager"), ("export of a seen dataset", ""))
    ],
    *[Row(obj="another's export", asks=f"GET api:export-{what}") for what in ("detail", "download")],
    *[
        Row(
            obj=obj,
            asks=f"{how} api:dataset-exports",
            may="data_manager" if obj == "dataset to manage" else "",
            sees="" if obj == "hidden dataset" else SEEING,
            accepts=(200, 400),  # they may, but the dataset is empty
        )
        for obj in ("dataset to manage", "dataset to annotate", "hidden dataset")
        for how in ("GET", "POST")
    ],
    *[
        Row(
            obj="dataset to manage",
            asks=f"{how} jobs:dataset-export",
            may="data_manager",
            sees=SEEING,
            accepts=(200, 400),  # they may, but the row's form is empty
        )
        for how in ("GET", "POST")
    ],
    Row(obj="dataset to annotate", asks="GET jobs:dataset-export", sees=SEEING),
    Row(obj="hidden dataset", asks="GET jobs:dataset-export"),
    Row(obj="results", action="view", may=ASKING, asks="GET jobs:result-list"),
    Row(obj="own result", action="view", may=ASKING, asks="GET jobs:result-detail"),
    Row(obj="own result", action="view", may=ASKING, asks="GET jobs:result-image"),
    Row(obj="own result", action="decide", may=ASKING, asks="POST jobs:result-decide"),
    Row(obj="own result", asks="POST jobs:result-offer", may=ASKING),
    Row(obj="own result", action="request", may=ASKING, asks="POST jobs:result-reproduce"),
    Row(obj="own result", asks="POST jobs:result-again", may=ASKING),
    Row(obj="own result", asks="POST jobs:result-severities", may=ASKING),
    Row(obj="another's result", asks="POST jobs:result-severities"),
    Row(obj="own result with a map", asks="GET jobs:result-uncertainty", may=ASKING),
    Row(obj="another's result with a map", asks="GET jobs:result-uncertainty"),
    Row(obj="own result with a map", asks="GET jobs:result-nearest", may=ASKING),
    Row(obj="another's result with a map", asks="GET jobs:result-nearest"),
    Row(obj="own result", asks="GET jobs:result-download", may=ASKING, query="?as=nifti"),
    Row(obj="own result", asks="GET jobs:result-compare", may=ASKING, args=beside(own_result)),
    Row(obj="own result", asks="GET jobs:result-compare", args=beside(lambda _: own_result(None))),
    Row(obj="another's result", asks="GET jobs:result-compare", args=beside(own_result)),
    Row(obj="another's result", action="view", asks="GET jobs:result-detail"),
    Row(obj="another's result", asks="GET jobs:result-image"),
    Row(obj="another's result", action="decide", asks="POST jobs:result-decide"),
    Row(obj="another's result", asks="POST jobs:result-offer"),
    Row(obj="another's result", action="request", asks="POST jobs:result-reproduce"),
    Row(obj="another's result", asks="POST jobs:result-again"),
    Row(obj="another's result", asks="GET jobs:result-download"),
]
