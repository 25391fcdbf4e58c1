"""Models from elsewhere, by the command and a real worker: converted, installed, drawn with, read again."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection

from tests import factories
from tests.integration.jobs.conftest import ROOT, Probes, Workers
from tests.unit.synthesis.foreign_models.folders import ABOUT, FAMILIES, own_pipeline
from tests.unit.synthesis.foreign_models.original import original
from tests.unit.synthesis.foreign_models.test_single_files import LEFT, parts, written
from webapp.jobs.models import Result, WorkerHeartbeat
from webapp.jobs.requests import request_submit
from webapp.registry.models import GenerativeModel
from webapp.registry.selectors import model_folder
from webapp.registry.services import model_install_submit, model_upload_submit

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

PATIENCE = 300.0  # seconds, for five models in a row on a busy machine
PATIENT = {"JOB_LEASE_SECONDS": "60"}  # the first job of a worker imports diffusers, which may take a while

AGAIN = """
import json, sys
from synthesis.checkpoints import load_model
from synthesis.generate import generate
from synthesis.request import Condition, SamplerOptions, SynthesisRequest
import numpy as np, torch
torch.set_num_threads(1)
for line in sys.stdin:
    said = json.loads(line)
    labels = np.asarray(said["labels"], np.uint8)
    wish = SynthesisRequest(
        labels=labels, spacing_mm=tuple(said["spacing_mm"]), condition=Condition.from_json(said["condition"]),
        sampler=SamplerOptions.from_json(said["sampler"]), seed=said["seed"])
    print(json.dumps(generate(load_model(said["folder"]), wish).pixel_sha256), flush=True)
"""


def about_of(name: str) -> str:
    return ABOUT.replace("tiny-foreign", f"tiny-{name.replace('_', '-')}")


def command(*arguments: Any, **options: Any) -> str:
    said = StringIO()
    call_command("install_model", *map(str, arguments), stdout=said, timeout=PATIENCE, **options)
    return said.getvalue()


def draw(model: GenerativeModel, user: Any) -> Any:
    condition = {"modality": "CT", "severity": "mild"}
    return request_submit(
        user=user,
        model=model,
        parameters={"condition": condition, "sampler": {"name": "euler", "steps": 2}, "phantom_seed": 3},
        seed=11,
    )


def pixels_of(requests: list[Any]) -> list[str]:
    """What a process of its own draws for the same requests with the models as they are installed."""
    from webapp.jobs.requests import labels_of

    lines = [
        json.dumps(
            {
                "folder": str(model_folder(item.model)),
                "labels": labels_of(item).tolist(),
                "spacing_mm": item.grid["spacing_mm"],
                "condition": item.parameters["condition"],
                "sampler": item.parameters["sampler"],
                "seed": item.seed,
            }
        )
        for item in requests
    ]
    done = subprocess.run(
        [sys.executable, "-c", AGAIN], input="\n".join(lines), capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line)[0] for line in done.stdout.splitlines()]


def test_all_five_families_from_their_folders(workers: Workers, probes: Probes, tmp_path: Path) -> None:
    factories.person("data_manager")
    researcher = factories.person("researcher")
    for family in FAMILIES:
        own_pipeline(family).save_pretrained(tmp_path / family)
        (tmp_path / f"{family}.yaml").write_text(about_of(family))
    workers.start(**PATIENT)
    assert (WorkerHeartbeat.objects.get(queue="compute").memory or 0) > 10**9
    said = command(tmp_path / "flux", about=tmp_path / "flux.yaml")
    assert "It is installed" in said
    for family in FAMILIES[:-1]:
        command(tmp_path / family, about=tmp_path / f"{family}.yaml")
    models = [GenerativeModel.objects.get(name=f"tiny-{f.replace('_', '-')}") for f in FAMILIES]
    assert all(model.is_active and "not trained to obey masks" in model.card for model in models)
    assert {model.backbone for model in models} == set(FAMILIES)
    requests = [draw(model, researcher) for model in models]
    for item in requests:
        probes.wait(item.jobs.get(), "succeeded", seconds=PATIENCE)
    drawn = [Result.objects.get(request=item).pixel_sha256 for item in requests]
    assert len(set(drawn)) == len(FAMILIES)
    assert pixels_of(requests) == drawn
    left = Path(connection.settings_dict["NAME"]).parent / "conversions"
    assert not left.exists() or not list(left.iterdir())


def test_all_five_families_from_single_files(workers: Workers, probes: Probes, tmp_path: Path) -> None:
    """The same pixels as from the folder of the same pipeline: only the layout was another."""
    manager, researcher = factories.person("data_manager"), factories.person("researcher")
    jobs = []
    for family in FAMILIES:
        pipe = own_pipeline(family)
        (tmp_path / family).mkdir()
        parts(tmp_path / family, pipe, *LEFT[family])
        path = written(tmp_path / family, original(family, pipe))
        (tmp_path / family / "semblance.yaml").write_text(about_of(family) + "parts: parts\n")
        jobs.append(model_install_submit(user=manager, path=path))
    workers.start(**PATIENT)
    for job in jobs:
        probes.wait(job, "succeeded", seconds=PATIENCE)
    models = [GenerativeModel.objects.get(name=f"tiny-{f.replace('_', '-')}") for f in FAMILIES]
    requests = [draw(model, researcher) for model in models]
    for item in requests:
        probes.wait(item.jobs.get(), "succeeded", seconds=PATIENCE)
    assert pixels_of(requests) == [Result.objects.get(request=item).pixel_sha256 for item in requests]


def test_what_cannot_be_brought_in_is_said_and_leaves_nothing(
    workers: Workers, probes: Probes, tmp_path: Path, settings: Any
) -> None:
    factories.person("data_manager")
    own_pipeline("stable_diffusion").save_pretrained(tmp_path / "plain")
    own_pipeline("stable_diffusion").save_pretrained(tmp_path / "pickled", safe_serialization=False)
    (tmp_path / "about.yaml").write_text(ABOUT)
    (tmp_path / "short.yaml").write_text(ABOUT.replace("licence: Apache-2.0", ""))
    folders = Path(settings.MEDIA_ROOT) / "models", Path(settings.SEMBLANCE_HOME) / "conversions"
    before = [set(folder.glob("*")) for folder in folders]
    workers.start(**PATIENT)
    for arguments, words in (
        ([tmp_path / "plain"], "carries no recipe, so it is not known what its pictures show"),
        ([tmp_path / "plain", "--about", tmp_path / "short.yaml"], "Missing in the about-file: licence"),
        ([tmp_path / "pickled", "--about", tmp_path / "about.yaml"], "It was refused unopened"),
        ([tmp_path / "plain", "--now"], "leave out --now"),
    ):
        with pytest.raises(CommandError, match=words):
            command(*arguments)
    assert not GenerativeModel.objects.exists()
    assert [set(folder.glob("*")) for folder in folders] == before


def test_an_upload_without_recipe_is_cleared_away(workers: Workers, probes: Probes, tmp_path: Path) -> None:
    path = written(tmp_path, {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(1)})
    upload = SimpleUploadedFile("sd15.safetensors", path.read_bytes())
    job = model_upload_submit(user=factories.person("data_manager"), weights=upload)
    assert default_storage.exists(job.payload["staged"])
    workers.start(**PATIENT)
    failed = probes.wait(job, "failed", seconds=PATIENCE)
    assert "carries no recipe" in failed.error_message
    assert not default_storage.exists(job.payload["staged"])


def test_a_worker_that_was_killed_leaves_no_half_model(
    workers: Workers, probes: Probes, tmp_path: Path, settings: Any
) -> None:
    own_pipeline("pixart").save_pretrained(tmp_path / "pipe")
    (tmp_path / "pipe" / "semblance.yaml").write_text(about_of("pixart"))
    job = model_install_submit(user=factories.person("data_manager"), path=tmp_path / "pipe")
    half = Path(settings.SEMBLANCE_HOME) / "conversions" / str(job.pk)
    half.mkdir(parents=True)
    (half / "model.safetensors.part").write_bytes(b"half")
    workers.start(**PATIENT)
    probes.wait(job, "succeeded", seconds=PATIENCE)
    assert not half.exists()
    assert GenerativeModel.objects.get().is_active
