"""Installing models: the checkpoint is opened here, where torch is."""

from __future__ import annotations

from typing import Any

from synthesis.checkpoints import load_model
from synthesis.errors import SynthesisError
from webapp.jobs.selectors import job_for_worker
from webapp.registry.selectors import model_folder
from webapp.registry.services import model_install_execute, model_offer
from workers.lease import Work


def install_model(work: Work) -> dict[str, Any]:
    """Check and install one checkpoint, and load it once: a network that cannot be built is not offered."""
    job = job_for_worker(work.job_id)
    work.stage("installing", message="Checking the weights")
    model = model_install_execute(payload=dict(job.payload), user=job.owner)
    work.stage("trying", message="Loading the network")
    try:
        load_model(model_folder(model))
    except SynthesisError:
        model_offer(user=job.owner, model=model, offered=False)
        raise
    return {"model": model.name, "version": model.version, "model_id": str(model.pk)}
