"""Rows about counterfactuals: their pages, their pictures, their strips, and the same by API."""

from collections.abc import Callable
from typing import Any

from tests import factories
from tests.factories_edits import CHANGE, edit_request, edited_result
from tests.integration.permissions.rows import Row
from webapp.jobs.edit_panes import picture_uid
from webapp.jobs.models import SynthesisRequest

ASKS = "clinician researcher"
JSON = "application/json"
REFUSED = (400, 422)  # they may, but what the row sends asks for nothing


def requester(person: Any) -> Any:
    """The person where they may ask for images, else a clinician."""
    may = person is not None and person.has_role("clinician", "researcher")
    return person if may else factories.person("clinician")


def own(person: Any) -> Any:
    """A counterfactual of the person's own, made."""
    return edited_result(requester(person)).request


def own_of_two(person: Any) -> Any:
    """One of the person's own with two images, whose spread can be told."""
    user = requester(person)
    options = CHANGE["edit"] | {"variety": 0.5}
    item = edit_request(user, count=2, parameters=CHANGE | {"edit": options})
    edited_result(user, request=item)
    factories.result(user, request=item, index=1)
    return item


def another(_person: Any) -> Any:
    """Somebody else's."""
    return edited_result(factories.person("clinician")).request


def strip_of(who: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A strip over the severities of that person."""

    def build(person: Any) -> Any:
        from tests.factories_edits import phantom_case
        from webapp.jobs.services import strip_submit

        user = who(person)
        case = phantom_case(user)
        source = {"case": case, "mask": case.masks.get(), "slice_index": 1}
        model = factories.generative_model()
        return strip_submit(user=user, along="severity", model=model, parameters=CHANGE, **source)

    return build


def reading_of(who: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A job of that person that reads the severity off an image."""

    def build(person: Any) -> Any:
        from tests.factories_edits import phantom_case
        from webapp.jobs.services import severity_estimate_submit

        user = who(person)
        case = phantom_case(user)
        model = factories.generative_model()
        return severity_estimate_submit(
            user=user, model=model, case=case, mask=case.masks.get(), modality="CT", slice_index=1
        )

    return build


def unseen_series(person: Any) -> Any:
    """A series of the person's own that keeps a slice of a source that is shared with them no longer."""
    from tests.factories_series import series_result
    from webapp.cases.models import DatasetShare

    item = series_result(requester(person)).request
    DatasetShare.objects.filter(dataset=item.case.dataset).delete()
    return item


def unseen_job(person: Any) -> Any:
    """The cancelled job of a series of the person's own whose source is shared with them no longer."""
    from tests.factories_series import series_request
    from webapp.cases.models import DatasetShare
    from webapp.jobs.services import job_cancel

    item = series_request(requester(person))
    job = job_cancel(user=item.owner, job=item.jobs.get())
    DatasetShare.objects.filter(dataset=item.case.dataset).delete()
    return job


def first_result(item: Any) -> tuple[Any, ...]:
    """The id of its first result."""
    return (item.results.get().pk,)


def picture(item: Any) -> tuple[Any, ...]:
    """The original's address."""
    return (item.pk, 0, "original")


def frame(item: Any) -> tuple[Any, ...]:
    """The undone image's pixels."""
    result = item.results.first()
    return (item.pk, 0, "undone", picture_uid(result, "undone") if result is not None else "1.2.3")


def image(item: Any) -> tuple[Any, ...]:
    """The first image's."""
    return (item.pk, 0)


OBJECTS = {
    "counterfactuals": ("jobs.SynthesisRequest", lambda _: SynthesisRequest),
    "own counterfactual": ("jobs.SynthesisRequest", own),
    "own counterfactual of two seeds": ("jobs.SynthesisRequest", own_of_two),
    "another's counterfactual": ("jobs.SynthesisRequest", another),
    "own strip": ("jobs.EditStrip", strip_of(requester)),
    "another's strip": ("jobs.EditStrip", strip_of(lambda _: factories.person("clinician"))),
    "own severity reading": ("jobs.Job", reading_of(requester)),
    "another's severity reading": ("jobs.Job", reading_of(lambda _: factories.person("clinician"))),
    "own series of a source seen no longer": ("jobs.SynthesisRequest", unseen_series),
    "own job on a source seen no longer": ("jobs.Job", unseen_job),
    "source of one's own counterfactual": ("jobs.SynthesisRequest", lambda p: edit_request(requester(p))),
}

ROWS = [
    Row(obj="counterfactuals", action="create", may=ASKS, asks="GET jobs:counterfactual-list"),
    Row(obj="counterfactuals", action="create", may=ASKS, asks="GET jobs:counterfactual-new"),
    Row(obj="counterfactuals", action="create", may=ASKS, asks="POST jobs:counterfactual-check"),
    Row(obj="counterfactuals", action="create", may=ASKS, asks="POST jobs:counterfactual-apply"),
    Row(obj="counterfactuals", action="create", may=ASKS, asks="POST jobs:strip-create"),
    Row(obj="own counterfactual", action="view", may=ASKS, asks="GET jobs:counterfactual-detail"),
    Row(obj="own counterfactual", asks="GET jobs:counterfactual-fragment", may=ASKS),
    Row(obj="own counterfactual", asks="GET jobs:counterfactual-difference", may=ASKS, args=image),
    Row(obj="own counterfactual", asks="GET jobs:counterfactual-metadata", may=ASKS, args=picture),
    Row(obj="own counterfactual", asks="GET jobs:counterfactual-frame", may=ASKS, args=frame),
    Row(obj="own counterfactual of two seeds", asks="GET jobs:counterfactual-spread", may=ASKS),
    Row(obj="source of one's own counterfactual", asks="POST jobs:counterfactual-strip", may=ASKS),
    Row(obj="another's counterfactual", asks="GET jobs:counterfactual-detail"),
    Row(obj="another's counterfactual", asks="GET jobs:counterfactual-fragment"),
    Row(obj="another's counterfactual", asks="GET jobs:counterfactual-difference", args=image),
    Row(obj="another's counterfactual", asks="GET jobs:counterfactual-metadata", args=picture),
    Row(obj="another's counterfactual", asks="GET jobs:counterfactual-frame", args=frame),
    Row(obj="another's counterfactual", asks="GET jobs:counterfactual-spread"),
    Row(obj="another's counterfactual", asks="POST jobs:counterfactual-strip"),
    Row(obj="own series of a source seen no longer", may=ASKS, asks="GET jobs:counterfactual-detail"),
    Row(obj="own series of a source seen no longer", asks="GET jobs:result-download", args=first_result),
    Row(obj="own series of a source seen no longer", asks="GET jobs:result-image", args=first_result),
    Row(obj="own job on a source seen no longer", sees="administrator", asks="POST jobs:job-retry"),
    Row(obj="own strip", action="view", may=ASKS, asks="GET jobs:strip-detail"),
    Row(obj="own strip", asks="GET jobs:strip-fragment", may=ASKS),
    Row(obj="another's strip", action="view", asks="GET jobs:strip-detail"),
    Row(obj="another's strip", asks="GET jobs:strip-fragment"),
    Row(obj="counterfactuals", action="create", may=ASKS, asks="POST jobs:severity-estimate"),
    Row(obj="own severity reading", may=ASKS, asks="GET jobs:severity-estimate-fragment"),
    Row(obj="another's severity reading", asks="GET jobs:severity-estimate-fragment"),
    Row(
        obj="counterfactuals",
        may=ASKS,
        asks="POST api:severity-estimate-list",
        content_type=JSON,
        accepts=REFUSED,
    ),
    Row(obj="counterfactuals", may=ASKS, asks="GET api:counterfactual-list"),
    Row(
        obj="counterfactuals",
        may=ASKS,
        asks="POST api:counterfactual-list",
        content_type=JSON,
        accepts=REFUSED,
    ),
    Row(obj="counterfactuals", may=ASKS, asks="POST api:strip-list", content_type=JSON, accepts=REFUSED),
    Row(obj="own counterfactual", may=ASKS, asks="GET api:counterfactual-detail"),
    Row(obj="another's counterfactual", asks="GET api:counterfactual-detail"),
    Row(obj="own strip", may=ASKS, asks="GET api:strip-detail"),
    Row(obj="another's strip", asks="GET api:strip-detail"),
]
