"""Rows about the API's addresses: the same answers as the pages', with 401 for whoever is not signed in."""

import json
from typing import Any

from tests import factories
from tests.integration.permissions.rows import Row
from webapp.cases.models import Case, Dataset
from webapp.jobs.models import Job, Result, SynthesisRequest
from webapp.registry.models import Adapter, GenerativeModel


def shared_case(person: Any, level: str = "view") -> Any:
    """A case in a dataset that is shared with the person, for viewing unless said otherwise."""
    shares = {person: level} if person is not None else {}
    return factories.case(dataset=factories.dataset(shares=shares))


def shared_mask(person: Any) -> Any:
    """A mask of such a case."""
    made = shared_case(person)
    return factories.mask(made, made.dataset.owner)


def requester(person: Any) -> Any:
    """The person where they may ask for images, else a clinician."""
    may = person is not None and person.has_role("clinician", "researcher")
    return person if may else factories.person("clinician")


OBJECTS = {
    "datasets by api": ("cases.Dataset", lambda _: Dataset),
    "shared dataset by api": ("cases.Dataset", lambda person: shared_case(person).dataset),
    "private dataset by api": ("cases.Dataset", lambda _: factories.dataset()),
    "cases by api": ("cases.Case", lambda _: Case),
    "shared case by api": ("cases.Case", shared_case),
    "managed case by api": ("cases.Case", lambda person: shared_case(person, "manage")),
    "private case by api": ("cases.Case", lambda _: factories.case()),
    "shared mask by api": ("cases.Mask", shared_mask),
    "private mask by api": ("cases.Mask", lambda _: shared_mask(None)),
    "models by api": ("registry.GenerativeModel", lambda _: GenerativeModel),
    "model by api": ("registry.GenerativeModel", lambda _: factories.generative_model()),
    "adapters by api": ("registry.Adapter", lambda _: Adapter),
    "adapter by api": ("registry.Adapter", lambda _: factories.adapter()),
    "requests by api": ("jobs.SynthesisRequest", lambda _: SynthesisRequest),
    "own request by api": (
        "jobs.SynthesisRequest",
        lambda person: factories.synthesis_request(requester(person)),
    ),
    "another's request by api": (
        "jobs.SynthesisRequest",
        lambda _: factories.synthesis_request(factories.person("clinician")),
    ),
    "jobs by api": ("jobs.Job", lambda _: Job),
    "own job by api": (
        "jobs.Job",
        lambda person: factories.synthesis_request(requester(person)).jobs.get(),
    ),
    "another's job by api": (
        "jobs.Job",
        lambda _: factories.synthesis_request(factories.person("clinician")).jobs.get(),
    ),
    "own grid by api": (
        "jobs.SeverityGrid",
        lambda person: factories.severity_grid(requester(person)),
    ),
    "another's grid by api": (
        "jobs.SeverityGrid",
        lambda _: factories.severity_grid(factories.person("researcher")),
    ),
    "results by api": ("jobs.Result", lambda _: Result),
    "own result by api": ("jobs.Result", lambda person: factories.result(requester(person))),
    "another's result by api": ("jobs.Result", lambda _: factories.result(factories.person("researcher"))),
    "interface": ("", lambda _: type("Interface", (), {})),
}

BROWSERS = "clinician researcher study_lead data_manager"
ASKS = "clinician researcher"
WORKS = f"{BROWSERS} administrator"
JSON = "application/json"
NOTHING_TO_DO = (400,)  # they may, but the body that the row sends asks for nothing

ROWS = [
    Row(obj="datasets by api", may=BROWSERS, asks="GET api:dataset-list"),
    Row(
        obj="datasets by api",
        may="data_manager",
        sees=BROWSERS,
        asks="POST api:dataset-list",
        data={"name": "New"},
    ),
    Row(obj="shared dataset by api", may=BROWSERS, asks="GET api:dataset-detail"),
    Row(obj="private dataset by api", asks="GET api:dataset-detail"),
    Row(obj="shared dataset by api", sees=BROWSERS, asks="POST api:dataset-imports"),
    Row(obj="private dataset by api", asks="POST api:dataset-imports"),
    Row(obj="cases by api", may=BROWSERS, asks="GET api:case-list"),
    Row(obj="shared case by api", may=BROWSERS, asks="GET api:case-detail"),
    Row(obj="private case by api", asks="GET api:case-detail"),
    Row(obj="shared case by api", sees=BROWSERS, asks="PATCH api:case-detail", content_type=JSON),
    Row(obj="private case by api", asks="PATCH api:case-detail", content_type=JSON),
    Row(
        obj="managed case by api",
        may="data_manager",
        sees=BROWSERS,
        asks="PATCH api:case-detail",
        content_type=JSON,
    ),
    Row(obj="shared mask by api", may=BROWSERS, asks="GET api:mask-detail"),
    Row(obj="private mask by api", asks="GET api:mask-detail"),
    Row(obj="shared mask by api", may=BROWSERS, asks="GET api:mask-content"),
    Row(obj="private mask by api", asks="GET api:mask-content"),
    Row(obj="models by api", may=BROWSERS, asks="GET api:model-list"),
    Row(
        obj="models by api",
        may="data_manager",
        sees=BROWSERS,
        asks="POST api:model-list",
        accepts=NOTHING_TO_DO,
    ),
    Row(obj="model by api", may=BROWSERS, asks="GET api:model-detail"),
    Row(obj="adapters by api", may=BROWSERS, asks="GET api:adapter-list"),
    Row(
        obj="adapters by api",
        may="data_manager",
        sees=BROWSERS,
        asks="POST api:adapter-list",
        accepts=NOTHING_TO_DO,
    ),
    Row(obj="adapter by api", may=BROWSERS, asks="GET api:adapter-detail"),
    Row(obj="requests by api", may=ASKS, asks="GET api:request-list"),
    Row(
        obj="requests by api",
        may=ASKS,
        asks="POST api:request-list",
        data=json.loads("{}"),
        content_type=JSON,
        accepts=NOTHING_TO_DO,
    ),
    Row(
        obj="requests by api",
        may=ASKS,
        asks="POST api:severity-list",
        data=json.loads("{}"),
        content_type=JSON,
        accepts=NOTHING_TO_DO,
    ),
    Row(obj="own grid by api", may=ASKS, asks="GET api:severity-grid"),
    Row(obj="another's grid by api", asks="GET api:severity-grid"),
    Row(obj="own result by api", may=ASKS, asks="POST api:result-severities"),
    Row(obj="another's result by api", asks="POST api:result-severities"),
    Row(obj="own request by api", may=ASKS, asks="GET api:request-detail"),
    Row(obj="own request by api", may=ASKS, asks="POST api:request-again"),
    Row(obj="another's request by api", asks="GET api:request-detail"),
    Row(obj="another's request by api", asks="POST api:request-again"),
    Row(obj="jobs by api", may=WORKS, asks="GET api:job-list"),
    Row(obj="own job by api", may=f"{ASKS} administrator", asks="GET api:job-detail"),
    Row(obj="own job by api", may=f"{ASKS} administrator", asks="POST api:job-cancel"),
    Row(obj="another's job by api", may="administrator", asks="GET api:job-detail"),
    Row(obj="another's job by api", may="administrator", asks="POST api:job-cancel"),
    Row(obj="another's job by api", sees="administrator", asks="POST api:job-retry"),
    Row(obj="results by api", may=ASKS, asks="GET api:result-list"),
    Row(obj="own result by api", may=ASKS, asks="GET api:result-detail"),
    Row(obj="own result by api", may=ASKS, asks="GET api:result-download"),
    Row(
        obj="own result by api",
        may=ASKS,
        asks="PUT api:result-decision",
        data={"decision": "accepted"},
        content_type=JSON,
    ),
    Row(obj="own result by api", may=ASKS, asks="POST api:result-again"),
    Row(obj="another's result by api", asks="GET api:result-detail"),
    Row(obj="another's result by api", asks="GET api:result-download"),
    Row(obj="another's result by api", asks="PUT api:result-decision"),
    Row(obj="another's result by api", asks="POST api:result-again"),
    Row(obj="interface", may="all anonymous", asks="GET api:schema"),
    Row(obj="interface", may="all", asks="GET api:docs"),
]
