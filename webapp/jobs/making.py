"""What DICOM says about how a job's images were made; the same for the image and for its SEG."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from synthesis.imaging.dicom_write import Making
from webapp.jobs.edit_words import change_terms, method_terms
from webapp.jobs.models import Job, SynthesisRequest
from webapp.jobs.severities import severity_terms


def making_of(job: Job, request: SynthesisRequest, recipe: Mapping[str, Any]) -> Making:
    """Model, method and condition of the images that `job` makes for `request`."""
    model = recipe.get("model", {})
    adapter = recipe.get("adapter") or {}
    return Making(
        job=str(job.pk),
        made_at=job.created_at.astimezone(UTC),
        model_name=str(model.get("name") or request.model.name),
        model_version=str(model.get("version") or request.model.version),
        method=str(model.get("method") or request.model.method),
        weights_sha256=str(model.get("weights_sha256") or request.model.weights_sha256),
        adapter=f"{adapter['name']} version {adapter['version']}" if adapter else "",
        adapter_sha256=str(adapter.get("weights_sha256", "")),
        description=_description(request, recipe),
        software_version=str(recipe.get("versions", {}).get("semblance", "")) or "1",
    )


def _description(request: SynthesisRequest, recipe: Mapping[str, Any]) -> str:
    """What was done to get the pixels, for DerivationDescription."""
    if "edit" in request.parameters:
        how = method_terms(recipe.get("options") or request.parameters["edit"])
        return (
            f"Counterfactual of the source image, {change_terms(request)}: synthetic pixels, changed by a "
            f"generative model ({how}). Not evidence about the patient."
        )
    return f"Synthetic {condition_terms(request)}, drawn by a generative model from a label map."


def condition_terms(request: SynthesisRequest) -> str:
    """The condition in English, for headers: "CT, severe cirrhosis, steatosis grade 2"."""
    condition = request.parameters.get("condition", {})
    words = [str(condition.get("modality", "")), severity_terms(condition)]
    if condition.get("steatosis"):
        words.append(f"steatosis grade {condition['steatosis']}")
    if condition.get("diagnosis"):
        words.append(f"diagnosis {condition['diagnosis']}")
    return ", ".join(word for word in words if word)
