"""Each of the five backbones from training to pixels: trained, installed and drawn by a worker, made again.

Real classes of tiny size, tokenizers made on the spot; one worker and one fresh process for all five.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from django.test import Client
from django.urls import reverse

from synthesis.checkpoints import save_model
from synthesis.edit_request import methods_of
from tests import factories
from tests.factories_edits import CHANGE, phantom_case, psnr_undone
from tests.factories_models import tiny_recipe
from tests.integration.jobs.conftest import DEADLINE, ROOT, Probes, Workers, purge
from tests.stored import images_of
from tests.unit.synthesis.tiny_backbones import network_of, tiny_pipeline
from tests.unit.training.tiny_training import (
    BACKBONES,
    latent_recipe,
    people_with_latents,
    phantoms_with_latents,
    tiny_base,
)
from training.export import export
from training.train import train
from webapp.jobs.models import SynthesisRequest, WorkerHeartbeat
from webapp.jobs.requests import labels_of, request_job, request_submit
from webapp.jobs.services import result_reproduce
from webapp.registry.models import Adapter, GenerativeModel
from webapp.registry.selectors import adapter_folder, model_folder
from webapp.registry.services import model_install, model_install_submit
from webapp.registry.services_adapters import adapter_install_submit

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

LONG = 240.0  # seconds for a change there and back, on a machine that is shared
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
    with django_db_blocker.unblock():  # it outlived the last test's rows and may have written one since
        WorkerHeartbeat.objects.all().delete()


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


def test_a_model_with_a_new_word_and_a_drift_is_asked_for_in_words_and_drawn(
    worker: Workers, fresh: FreshProcess, probes: Probes, tmp_path: Path, client: Client
) -> None:
    """Textual Inversion under a drift: the form shows a diagnosis, and the worker draws by it."""
    manager, clinician = factories.person("data_manager"), factories.person("clinician")
    base = tiny_base("stable_diffusion", tmp_path / "base")
    prompts = {
        "image": "MRI of the abdomen", "style": "diverse", "diagnoses": {"C": "severe liver cirrhosis"},
        "token": "<liver-1>", "token_from": "liver",
    }  # fmt: skip
    recipe = latent_recipe(
        "stable_diffusion", base, name="inverted", modalities=["T2"], prompts=prompts, steps=2,
        objective={"name": "textual_inversion"}, drift={"delta": 0.3}, extra=EXTRA,
    )  # fmt: skip
    data = people_with_latents(recipe, tmp_path / "data")
    train(recipe, data, tmp_path / "run")
    export(recipe, tmp_path / "run", data, tmp_path / "model")
    done(probes, model_install_submit(user=manager, path=tmp_path / "model"))
    model = GenerativeModel.objects.get()
    assert model.recipe["drift"] == {"delta": 0.3, "scheme": "noise"}

    client.force_login(clinician)
    page = client.get(reverse("jobs:synthesise"), {"model": str(model.pk)}).content.decode()
    assert "severe liver cirrhosis</option>" in page
    assert 'name="severity"' not in page
    assert 'name="steatosis"' not in page
    values = {
        "model": str(model.pk), "modality": "T2", "diagnosis": "C", "age": "61", "sex": "F", "count": "1",
        "sampler": "ddim", "steps": "2", "guidance": "2", "phantom_seed": "3", "seed": "7",
    }  # fmt: skip
    check = client.post(reverse("jobs:synthesise-check"), values).content.decode()
    told = "<q>A &lt;liver-1&gt; MRI of the abdomen of a 61-year-old woman with severe liver cirrhosis.</q>"
    assert told in check
    drawn = []
    for changed in ({}, {"age": "25"}):
        answer = client.post(reverse("jobs:synthesise"), values | changed)
        assert answer.status_code == 302, answer.content.decode()
        request = SynthesisRequest.objects.order_by("-created_at")[0]
        job = probes.wait(request_job(request), "succeeded", "failed", seconds=DEADLINE)
        assert job.state == "succeeded", f"{job.error_message} {job.error_detail}"
        drawn.append(request.results.get())
    assert drawn[0].pixel_sha256 != drawn[1].pixel_sha256
    assert drawn[0].request.parameters["condition"]["diagnosis"] == "C"
    made = fresh.pixels(drawn[0].request, model_folder(model), None, tmp_path / "labels.npy")
    assert made == drawn[0].pixel_sha256
    refused = client.post(reverse("jobs:synthesise"), values | {"diagnosis": "D"})
    assert refused.status_code == 422
    assert SynthesisRequest.objects.count() == 2


def test_an_image_is_changed_along_words_from_a_request_by_api_to_dicom(
    worker: Workers, probes: Probes, tmp_path: Path, api_of: Callable[[Any], Any]
) -> None:
    """Stable Diffusion, by pix2pix-zero: asked for, made, taken back, made again, and said in the file."""
    person = factories.person("researcher")
    case = phantom_case(person)
    network = network_of("stable_diffusion", tiny_pipeline("stable_diffusion"))
    save_model(tmp_path / "base", network, tiny_recipe(32, 32) | {"name": "worded", **EXTRA})
    model = model_install(path=tmp_path / "base")
    assert methods_of(model.recipe) == ("flow_inversion", "pix2pix_zero", "guided")
    edit = {"method": "pix2pix_zero", "strength": 0.3, "steps": 2, "undo": True}
    asked = {"model": str(model.pk), "case": str(case.pk), "mask": str(case.masks.get().pk), "slice_index": 1}
    client = api_of(person)
    answer = client.post(
        reverse("api:counterfactual-list"),
        asked | {"parameters": CHANGE | {"edit": edit}, "seed": 5},
        format="json",
    )
    assert answer.status_code == 202, answer.content
    request = SynthesisRequest.objects.get()
    job = probes.wait(request_job(request), "succeeded", "failed", seconds=LONG)
    assert job.state == "succeeded", f"{job.error_message} {job.error_detail}"
    assert (job.step, job.steps_total) == (12, 12)  # the change, nothing changed, and the way back to it
    (image,) = client.get(answer.json()["url"]).json()["images"]
    assert image["numbers"]["inside"] > 0
    result = request.results.get()
    assert image["numbers"]["undone"]["psnr"] == pytest.approx(psnr_undone(result), abs=1e-6)
    used = result.recipe["options"]
    assert (used["method"], used["attention"], used["guidance"]) == ("pix2pix_zero", 0.1, 1.0)
    (written,) = images_of(result, person)
    assert "pix2pix zero, strength 0.3, attention 0.1" in written.DerivationDescription
    again = probes.wait(result_reproduce(user=person, result=result), "succeeded", seconds=LONG)
    assert again.outcome["match"] is True, again.outcome
