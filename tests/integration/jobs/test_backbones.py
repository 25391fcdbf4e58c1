"""Each of the five backbones from training to pixels: trained, installed and drawn by a worker, made again.

Real classes of tiny size, tokenizers made on the spot; one worker and one fresh process for all five.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests import factories
from tests.integration.jobs.conftest import DEADLINE, ROOT, Probes, Workers, purge
from tests.unit.training.tiny_training import BACKBONES, latent_recipe, phantoms_with_latents, tiny_base
from training.export import export
from training.train import train
from webapp.jobs.requests import labels_of, request_job, request_submit
from webapp.registry.models import Adapter, GenerativeModel
from webapp.registry.selectors import adapter_folder, model_folder
from webapp.registry.services import model_install_submit
from webapp.registry.services_adapters import adapter_install_submit

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

SAMPLER = {"name": "rft", "steps": 2, "guidance": 2.0}
CONDITION = {"modality": "T1", "severity": "mild", "age": 61, "sex": "F"}
EXTRA = {"licence": "CC0-1.0", "field": {"spacing_mm": [4.0, 24.0], "fov_mm": [200.0, 700.0]}}
FRESH = """
import json, sys
from pathlib import Path
import numpy as np
import torch
from synthesis.adapters import choose, load_adapter
from synthesis.checkpoints import load_model
from synthesis.generate import generate
from synthesis.request import Condition, SamplerOptions, SynthesisRequest
torch.set_num_threads(1)
for line in sys.stdin:
    asked = json.loads(line)
    model = load_model(asked["model"])
    if asked["adapter"]:
        load_adapter(model, Path(asked["adapter"]), "one")
        choose(model, "one")
    wish = SynthesisRequest(
        labels=np.load(asked["labels"]),
        spacing_mm=tuple(asked["spacing_mm"]),
        condition=Condition.from_json(asked["condition"]),
        sampler=SamplerOptions.from_json(asked["sampler"]),
        seed=asked["seed"],
    )
    print("pixels", generate(model, wish).pixel_sha256[0], flush=True)
"""


@pytest.fixture(scope="module")
def worker(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: Any) -> Iterator[Workers]:
    """One real worker for the whole module."""
    made = Workers(tmp_path_factory.mktemp("workers"))
    with django_db_blocker.unblock():
        purge()
        made.start("compute", WORKER_THREADS="1", JOB_LEASE_SECONDS="60")  # the first job imports diffusers
    yield made
    made.end()


class FreshProcess:
    """A process that knows nothing but the files it is told of."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", FRESH],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def pixels(self, request: Any, model: Path, adapter: Path | None, labels: Path) -> str:
        """The digest of the pixels that a request becomes there."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        np.save(labels, labels_of(request))
        asked = {
            "model": str(model),
            "adapter": str(adapter or ""),
            "labels": str(labels),
            "spacing_mm": request.grid["spacing_mm"],
            "condition": request.parameters["condition"],
            "sampler": request.parameters["sampler"],
            "seed": request.seed,
        }
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            word, _, rest = line.partition(" ")
            if word == "pixels":
                return rest.strip()
        pytest.fail(f"the fresh process ended with code {self._process.wait()}")

    def end(self) -> None:
        """Close it."""
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def fresh() -> Iterator[FreshProcess]:
    """One process beside trainer and worker, for the whole module."""
    process = FreshProcess()
    yield process
    process.end()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def draw(probes: Probes, person: Any, model: Any, adapter: Any = None) -> Any:
    """The one result of a request for one image."""
    parameters = {"condition": CONDITION, "sampler": SAMPLER, "phantom_seed": 3}
    request = request_submit(user=person, model=model, adapter=adapter, parameters=parameters, seed=7)
    job = probes.wait(request_job(request), "succeeded", "failed", seconds=DEADLINE)
    assert job.state == "succeeded", f"{job.error_message} {job.error_detail}"
    return request.results.get()


def done(probes: Probes, job: Any) -> None:
    """Wait for a job that must succeed."""
    ended = probes.wait(job, "succeeded", "failed", seconds=DEADLINE)
    assert ended.state == "succeeded", f"{ended.error_message} {ended.error_detail}"


@pytest.mark.parametrize("name", BACKBONES)
def test_trained_installed_drawn_and_made_again(
    name: str, worker: Workers, fresh: FreshProcess, probes: Probes, tmp_path: Path
) -> None:
    manager, clinician = factories.person("data_manager"), factories.person("clinician")

    # Stage 1 teaches it to see the mask; the worker installs what comes of it.
    base = tiny_base(name, tmp_path / "base")
    recipe = latent_recipe(name, base, name=f"masked-{name}", train="controlnet", steps=3, extra=EXTRA)
    data = phantoms_with_latents(recipe, tmp_path / "data")
    train(recipe, data, tmp_path / "run")
    export(recipe, tmp_path / "run", data, tmp_path / "model")
    done(probes, model_install_submit(user=manager, path=tmp_path / "model"))
    model = GenerativeModel.objects.get()
    assert (model.name, model.backbone, model.is_active) == (f"masked-{name}", name, True)

    # Stage 2 adapts it; the worker installs the adapter beside it.
    adapted = latent_recipe(
        name,
        tmp_path / "model",
        name=f"adapter-{name}",
        steps=3,
        adapter={"rank": 4, "alpha": 4.0},
        extra=EXTRA,
    )
    train(adapted, data, tmp_path / "run-2")
    export(adapted, tmp_path / "run-2", data, tmp_path / "adapter")
    done(probes, adapter_install_submit(user=manager, path=tmp_path / "adapter"))
    adapter = Adapter.objects.get()

    # The same wish without it, with it, and without it again.
    plain, with_it, again = (draw(probes, clinician, model, one) for one in (None, adapter, None))
    assert plain.pixel_sha256 != with_it.pixel_sha256
    assert again.pixel_sha256 == plain.pixel_sha256
    for result, folder in ((plain, None), (with_it, adapter_folder(adapter))):
        made = fresh.pixels(result.request, model_folder(model), folder, tmp_path / "labels.npy")
        assert made == result.pixel_sha256
