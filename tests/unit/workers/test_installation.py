"""Installing in a worker that is stopped, tried again, or given what cannot be drawn with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models.signals import post_save
from django.test import Client
from django.urls import reverse

from synthesis.errors import SynthesisError
from tests import factories
from tests.factories_adapters import tiny_adapter
from tests.factories_models import tiny_model
from tests.unit.webapp.registry.test_adapters import lora
from tests.unit.webapp.registry.test_install import write
from webapp.jobs.services import job_claim, job_finish, job_release
from webapp.registry.adapter_files import CONFIG_FILE, RECIPE_FILE, WEIGHTS_FILE
from webapp.registry.models import Adapter, GenerativeModel
from webapp.registry.services import model_install, model_install_submit, model_offer, model_upload_submit
from webapp.registry.services_adapters import adapter_install_submit, adapter_upload_submit
from workers import installation
from workers.installation import install_adapter, install_model
from workers.lease import Stopping, Work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]


def claimed(stopping: threading.Event | None = None) -> Work:
    """The next job of the compute queue, in this process's hands."""
    claim = job_claim(queue="compute", worker="test")
    assert claim is not None
    return Work(claim, stopping=stopping)


def given_back(work: Work) -> None:
    """The job waits again, as after a worker that stopped in good order."""
    job_release(job_id=work.job_id, token=work.token, note="its worker was shut down")


@contextmanager
def stopped_once_saved(kind: Any) -> Iterator[threading.Event]:
    """A worker that is asked to stop in the moment in which such an object is recorded."""
    stopping = threading.Event()

    def stop(**_: Any) -> None:
        stopping.set()

    post_save.connect(stop, sender=kind)
    yield stopping
    post_save.disconnect(stop, sender=kind)


def uploaded_model(folder: Path) -> Any:
    upload = SimpleUploadedFile("tiny.safetensors", (folder / "model.safetensors").read_bytes())
    card = SimpleUploadedFile("card.md", b"# Tiny\n")
    return model_upload_submit(user=factories.person("data_manager"), weights=upload, card=card)


def uploaded_adapter(folder: Path) -> Any:
    files = {
        key: SimpleUploadedFile(name, (folder / name).read_bytes())
        for key, name in (("weights", WEIGHTS_FILE), ("config", CONFIG_FILE), ("recipe", RECIPE_FILE))
    }
    return adapter_upload_submit(user=factories.person("data_manager"), **files)


def test_a_worker_that_stops_keeps_the_uploaded_model_for_the_next_one(tmp_path: Path) -> None:
    job = uploaded_model(tiny_model(tmp_path / "tiny"))
    early = threading.Event()
    early.set()
    work = claimed(early)
    with pytest.raises(Stopping):
        install_model(work)
    given_back(work)
    with stopped_once_saved(GenerativeModel) as late:
        work = claimed(late)
        with pytest.raises(Stopping):
            install_model(work)
    given_back(work)
    assert default_storage.exists(job.payload["staged"])
    done = install_model(claimed())
    assert done["model_id"] == str(GenerativeModel.objects.get().pk)
    assert "# Tiny" in GenerativeModel.objects.get().card
    assert default_storage.listdir(str(Path(job.payload["staged"]).parent))[1] == []


def test_a_worker_that_stops_keeps_the_uploaded_adapter_and_a_refusal_clears_it_away(tmp_path: Path) -> None:
    base = model_install(path=write(tmp_path / "tiny"))
    job = uploaded_adapter(lora(tmp_path / "sharp", base))
    with stopped_once_saved(Adapter) as stopping:
        work = claimed(stopping)
        with pytest.raises(Stopping):
            install_adapter(work)
    given_back(work)
    assert len(default_storage.listdir(job.payload["staged"])[1]) == 3
    with pytest.raises(SynthesisError, match="no image can be drawn"):  # its base is no network
        install_adapter(claimed())
    assert not Adapter.objects.get().is_active
    assert default_storage.listdir(job.payload["staged"])[1] == []


def refuse_to_draw(model: Any) -> None:
    raise RuntimeError("the device is out of memory")


def test_what_a_trial_withdrew_is_offered_by_the_next_good_one_and_what_a_person_withdrew_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client_of: Callable[[Any], Client]
) -> None:
    manager = factories.person("data_manager")
    folder = tiny_model(tmp_path / "tiny")
    for kind, done in ((GenerativeModel, install_model), (Adapter, install_adapter)):
        if kind is Adapter:
            folder = tiny_adapter(tmp_path / "sharp", tmp_path / "tiny")

        def submit(path: Path = folder, kind: Any = kind) -> None:
            (adapter_install_submit if kind is Adapter else model_install_submit)(user=manager, path=path)

        with monkeypatch.context() as broken:
            broken.setattr(installation, "draw_once", refuse_to_draw)
            submit()
            with pytest.raises(SynthesisError, match="out of memory"):
                done(claimed())
        assert not kind.objects.get().is_active
        submit()
        assert done(claimed())["offered"]
        assert kind.objects.get().is_active
    model_offer(user=manager, model=GenerativeModel.objects.get(), offered=False)
    submit()
    assert not install_adapter(claimed())["offered"]  # its model is not
    assert Adapter.objects.get().is_active
    model_install_submit(user=manager, path=tmp_path / "tiny")
    work = claimed()
    outcome = install_model(work)
    assert not GenerativeModel.objects.get().is_active
    job_finish(job_id=work.job_id, token=work.token, outcome=outcome)
    page = client_of(manager).get(reverse("jobs:job-detail", args=[work.job_id]))
    assert "It is installed, but not offered" in page.content.decode()


@pytest.mark.parametrize(
    "recipe", [{"image": {"normalisation": {"CT": 5}}}, {"image": {"normalisation": 5}}, {"calibration": 5}]
)
def test_an_adapter_that_cannot_be_drawn_with_is_withdrawn(tmp_path: Path, recipe: dict[str, Any]) -> None:
    model_install(path=tiny_model(tmp_path / "tiny"))
    folder = tiny_adapter(tmp_path / "sharp", tmp_path / "tiny", **recipe)
    adapter_install_submit(user=factories.person("data_manager"), path=folder)
    with pytest.raises(SynthesisError, match=r"no image can be drawn with them on Tiny test model 0\.1"):
        install_adapter(claimed())
    assert not Adapter.objects.get().is_active
