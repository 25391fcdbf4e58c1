"""Installing a model through a worker: offered once its network was really built, else withdrawn."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests import factories
from tests.factories_adapters import tiny_adapter
from tests.factories_models import tiny_model
from tests.integration.jobs.conftest import Probes, Workers
from webapp.jobs.requests import request_job
from webapp.jobs.services import request_submit, result_reproduce
from webapp.registry.models import Adapter, GenerativeModel
from webapp.registry.services import model_install, model_install_submit, model_upload_submit
from webapp.registry.services_adapters import adapter_install_submit, adapter_upload_submit

PATIENT = {"JOB_LEASE_SECONDS": "60"}  # peft is imported in the first job, which may take a while
PATIENCE = 240.0

PARAMETERS = {
    "condition": {"modality": "CT", "severity_level": 1.5},
    "sampler": {"name": "ddim", "steps": 2, "eta": 1.0},
    "phantom_seed": 3,
}

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def stored(tmp_path: Path, settings: Any) -> Path:
    """The storage that the test and its workers share."""
    return Path(settings.MEDIA_ROOT)


def test_an_uploaded_model_is_checked_tried_and_offered(
    workers: Workers, probes: Probes, tmp_path: Path, stored: Path
) -> None:
    folder = tiny_model(tmp_path / "tiny", seed=int.from_bytes(str(tmp_path).encode()) % 10_000)
    upload = SimpleUploadedFile("tiny.safetensors", (folder / "model.safetensors").read_bytes())
    card = SimpleUploadedFile("card.md", b"# Tiny\n\nFor tests.\n")
    job = model_upload_submit(user=factories.person("data_manager"), weights=upload, card=card)
    workers.start()
    probes.wait(job, "succeeded")
    model = GenerativeModel.objects.get()
    assert (model.name, model.version, model.is_active) == ("tiny", "0.1", True)
    assert "For tests" in model.card
    assert job.payload["staged"]
    assert not (stored / job.payload["staged"]).exists()


def test_a_network_that_cannot_be_built_is_not_offered(
    workers: Workers, probes: Probes, tmp_path: Path
) -> None:
    folder = tiny_model(tmp_path / "tiny")
    change_recipe(folder / "model.safetensors", backbone={"name": "unet", "channels": [4, 4], "wheels": 3})
    job = model_install_submit(user=factories.person("data_manager"), path=folder)
    workers.start()
    failed = probes.wait(job, "failed")
    assert "wheels" in failed.error_message
    assert not GenerativeModel.objects.get().is_active


def test_a_pickle_fails_in_plain_words(workers: Workers, probes: Probes, tmp_path: Path) -> None:
    (tmp_path / "model.ckpt").write_bytes(b"\x80\x04")
    job = model_install_submit(user=factories.person("data_manager"), path=tmp_path / "model.ckpt")
    workers.start()
    failed = probes.wait(job, "failed")
    assert "refused unopened" in failed.error_message
    assert not GenerativeModel.objects.exists()


def test_an_adapter_is_tried_offered_and_drawn_with(
    workers: Workers, probes: Probes, tmp_path: Path, stored: Path
) -> None:
    base = model_install(path=tiny_model(tmp_path / "base"))
    folder = tiny_adapter(tmp_path / "sharp", tmp_path / "base")
    names = {"weights": "adapter_model.safetensors", "config": "adapter_config.json", "recipe": "recipe.json"}
    files = {key: SimpleUploadedFile(name, (folder / name).read_bytes()) for key, name in names.items()}
    job = adapter_upload_submit(user=factories.person("data_manager"), **files)
    workers.start(**PATIENT)
    probes.wait(job, "succeeded", seconds=PATIENCE)
    adapter = Adapter.objects.get()
    assert (adapter.base, adapter.is_offered, adapter.rank) == (base, True, 4)
    assert not (stored / job.payload["staged"] / names["weights"]).exists()

    clinician = factories.person("clinician")
    made = {}
    for laid_on in (None, adapter, None):
        request = request_submit(
            user=clinician, model=base, adapter=laid_on, parameters=PARAMETERS, count=1, seed=5
        )
        probes.wait(request_job(request), "succeeded", seconds=PATIENCE)
        made.setdefault(laid_on, []).append(request.results.get())
    plain, again = made[None]
    (with_it,) = made[adapter]
    assert plain.pixel_sha256 == again.pixel_sha256 != with_it.pixel_sha256
    assert "adapter" not in plain.recipe
    assert with_it.recipe["adapter"]["weights_sha256"] == adapter.weights_sha256
    assert workers.logs().count("is warm on") == 1
    repeated = probes.wait(result_reproduce(user=clinician, result=with_it), "succeeded", seconds=PATIENCE)
    assert (repeated.outcome["match"], repeated.outcome["differs"]) == (True, [])


def test_an_adapter_that_fits_no_layer_is_not_offered(
    workers: Workers, probes: Probes, tmp_path: Path
) -> None:
    base = tiny_model(tmp_path / "base")
    model_install(path=base)
    folder = tiny_adapter(tmp_path / "sharp", base)
    rename_layers(folder / "adapter_model.safetensors", ".qkv.", ".nowhere.")
    manager = factories.person("data_manager")
    job = adapter_install_submit(user=manager, path=folder)
    homeless = adapter_install_submit(user=manager, path=tiny_adapter_of_nobody(tmp_path))
    workers.start(**PATIENT)
    failed = probes.wait(job, "failed", seconds=PATIENCE)
    assert "do not fit the layers" in failed.error_message
    assert not Adapter.objects.get().is_offered
    assert "is not installed here" in probes.wait(homeless, "failed", seconds=PATIENCE).error_message


def tiny_adapter_of_nobody(tmp_path: Path) -> Path:
    """An adapter of a model that is not installed."""
    return tiny_adapter(tmp_path / "homeless", tiny_model(tmp_path / "elsewhere", seed=9))


def rename_layers(path: Path, before: str, after: str) -> None:
    """Rewrite the names of the tensors in a safetensors file."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    text = content[8 : 8 + length].decode().replace(before, after).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


def change_recipe(path: Path, **changes: Any) -> None:
    """Rewrite the recipe inside a checkpoint, leaving its tensors as they are."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    recipe = json.loads(header["__metadata__"]["recipe"]) | changes
    header["__metadata__"]["recipe"] = json.dumps(recipe)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    path.with_name("model.sha256").unlink(missing_ok=True)
