"""Installing models: the checkpoint is opened and tried here, where torch is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from synthesis.checkpoints import LoadedModel
from synthesis.edit import edit
from synthesis.edit_request import CounterfactualRequest, EditOptions, takes_image
from synthesis.errors import Cancelled, SynthesisError
from synthesis.generate import generate
from synthesis.phantoms import abdomen
from synthesis.request import Condition, SamplerOptions, SynthesisRequest
from webapp.core.errors import ApplicationError
from webapp.jobs.selectors import job_for_worker
from webapp.registry.services import model_install_execute, model_upload_forget
from webapp.registry.services_adapters import adapter_install_execute, adapter_upload_forget
from webapp.registry.services_trials import trial_failed, trial_passed
from workers.adapters import laid_adapters
from workers.conversion import brought_in, payload_size, stage_seconds
from workers.lease import Work
from workers.models import device_choose, warm

TRYING_SECONDS = 300.0


@contextmanager
def upload_kept(forget: Callable[[], None]) -> Iterator[None]:
    """An upload stays while its job may be tried again, and is cleared away once the job is over.

    A worker that stops, a lease that is lost and an error that nobody foresaw give the job back.
    """
    try:
        yield
    except (SynthesisError, ApplicationError, Cancelled):
        forget()
        raise
    forget()


def install_model(work: Work) -> dict[str, Any]:
    """Check and install one checkpoint, then draw one image with it; a model that cannot is withdrawn.

    A model from elsewhere (a folder of diffusers, a file without recipe) is converted first.
    """
    job = job_for_worker(work.job_id)
    with upload_kept(lambda: model_upload_forget(payload=job.payload)):
        return _install_model(work, job)


def _install_model(work: Work, job: Any) -> dict[str, Any]:
    with brought_in(work, dict(job.payload)) as payload:
        seconds = stage_seconds(payload_size(payload))
        work.stage("installing", seconds=seconds, message="Checking the weights")
        model = model_install_execute(payload=payload, user=job.owner)
    seconds = TRYING_SECONDS + stage_seconds(model.weights_size)
    work.stage("trying", seconds=seconds, message="Drawing one image to try the model")
    try:
        draw_once(warm.get(model, device=device_choose()))
    except (SynthesisError, ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
        trial_failed(user=job.owner, installed=model)
        raise SynthesisError(
            f"The weights of {model} were stored, but no image can be drawn with them, so the model is not "
            f"offered: {error}"
        ) from error
    offered = trial_passed(user=job.owner, installed=model)
    return {
        "model": model.name,
        "version": model.version,
        "model_id": str(model.pk),
        "offered": offered,
    }


def install_adapter(work: Work) -> dict[str, Any]:
    """Check and install one adapter, then draw one image with it; one that cannot is withdrawn."""
    job = job_for_worker(work.job_id)
    with upload_kept(lambda: adapter_upload_forget(payload=job.payload)):
        return _install_adapter(work, job)


def _install_adapter(work: Work, job: Any) -> dict[str, Any]:
    work.stage("installing", message="Checking the weights")
    adapter = adapter_install_execute(payload=dict(job.payload), user=job.owner)
    work.stage("trying", seconds=TRYING_SECONDS, message="Drawing one image to try the adapter")
    try:
        base = warm.get(adapter.base, device=device_choose())
        with laid_adapters.using(base, adapter) as model:
            draw_once(model)
    except (SynthesisError, ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
        trial_failed(user=job.owner, installed=adapter)
        raise SynthesisError(
            f"The weights of {adapter} were stored, but no image can be drawn with them on {adapter.base}, "
            f"so the adapter is not offered: {error}"
        ) from error
    offered = trial_passed(user=job.owner, installed=adapter)
    return {
        "adapter": adapter.name,
        "version": adapter.version,
        "adapter_id": str(adapter.pk),
        "offered": offered,
    }


def draw_once(model: LoadedModel) -> None:
    """One image in one step of a phantom's label map, or of the phantom where the model changes images.

    Raises whatever stands in the way of drawing.
    """
    image = model.recipe["image"]
    modality = str((model.recipe.get("modalities") or ["CT"])[0])
    phantom = abdomen(0, shape=(int(image["rows"]), int(image["columns"])), modality=modality)
    row, column = (float(value) for value in phantom.spacing_mm)
    if takes_image(model.recipe):
        edit(
            model,
            CounterfactualRequest(
                image=phantom.image,
                labels=phantom.labels,
                spacing_mm=(row, column),
                before=Condition(modality=modality, severity="none"),
                after=Condition(modality=modality, severity="severe"),
                options=EditOptions(method="instruct_pix2pix", steps=1),
            ),
        )
        return
    generate(
        model,
        SynthesisRequest(
            labels=phantom.labels,
            spacing_mm=(row, column),
            condition=Condition(modality=modality),
            sampler=SamplerOptions(name="euler", steps=1),
            seed=0,
        ),
    )
