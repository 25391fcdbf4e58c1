"""Every kind of work: its queue and what a person calls it. The handlers live in `workers.tasks`."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from webapp.jobs.models import Job


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of work."""

    queue: str
    label: str | Promise
    max_attempts: int = 3


KINDS: dict[str, Kind] = {
    "synthesise": Kind(queue=Job.Queue.COMPUTE, label=_("Synthesis")),
    "counterfactual": Kind(queue=Job.Queue.COMPUTE, label=_("Counterfactual")),
    "estimate_severity": Kind(queue=Job.Queue.COMPUTE, label=_("Severity read off an image")),
    "reproduce": Kind(queue=Job.Queue.COMPUTE, label=_("Exact repetition")),
    "install_model": Kind(queue=Job.Queue.COMPUTE, label=_("Model installation")),
    "install_adapter": Kind(queue=Job.Queue.COMPUTE, label=_("Adapter installation")),
    "import_cases": Kind(queue=Job.Queue.RECORDS, label=_("Import")),
    "export": Kind(queue=Job.Queue.RECORDS, label=_("Export")),
    "prepare_reading": Kind(queue=Job.Queue.RECORDS, label=_("Preparation of a reader study")),
    "report_reading": Kind(queue=Job.Queue.RECORDS, label=_("Reader study report")),
}


def kind_get(name: str, *, queue: str = "") -> Kind:
    """The kind of work called `name`; kinds that a deployment adds by JOB_HANDLERS must name their queue.

    Raises ValueError for a kind that nobody handles.
    """
    if name in KINDS:
        return KINDS[name]
    if name in settings.JOB_HANDLERS and queue in Job.Queue.values:
        return Kind(queue=queue, label=name)
    raise ValueError(f"job kind: expected one of {', '.join(KINDS)}; got {name!r}")


def kind_label(name: str) -> str:
    """What a person calls this kind of work."""
    return str(KINDS[name].label) if name in KINDS else name
