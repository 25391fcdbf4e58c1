"""Reading the severity of a slice with the shipped judge, for the form that asks what an image shows."""

from __future__ import annotations

from typing import Any

from synthesis.errors import SynthesisError
from synthesis.imaging.intensity import normalisations
from synthesis.request import Condition
from webapp.jobs.selectors import job_for_worker
from webapp.jobs.severity_estimates import slice_for_worker
from workers.comparisons import severity_read
from workers.lease import Work
from workers.models import judges_for

READING_SECONDS = 180.0


def estimate_severity(work: Work) -> dict[str, Any]:
    """What the reader gives each grade of the liver in one slice; the model itself is not loaded."""
    work.stage("reading", seconds=READING_SECONDS, message="Reading the slice")
    model, fitted, modality = slice_for_worker(job_for_worker(work.job_id))
    judges = judges_for(model)
    if judges is None or modality not in normalisations(model.recipe) or fitted.image is None:
        raise SynthesisError(
            "No severity reader that fits this model is installed here. Say yourself what the image shows."
        )
    work.check()
    read = severity_read(judges, fitted.image, fitted.labels, Condition(modality=modality))
    if read is None:
        raise SynthesisError(
            "The slice shows too little of the liver to read its texture. Choose a slice with more of it, or "
            "say yourself what the image shows."
        )
    return {"severity": {name: read[name] for name in ("level", "read", "shares")}}
