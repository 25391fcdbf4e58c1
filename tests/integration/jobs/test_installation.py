"""Installing a model through a worker: offered once its network was really built, else withdrawn."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests import factories
from tests.factories_models import tiny_model
from tests.integration.jobs.conftest import Probes, Workers
from webapp.registry.models import GenerativeModel
from webapp.registry.services import model_install_submit, model_upload_submit

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
