"""Before a job is accepted: whether any device at work could hold the model, said with both numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from synthesis.footprint import footprint_of_edit
from tests import factories
from tests.factories_edits import CHANGE, edit_request
from webapp.core.errors import ApplicationError
from webapp.jobs.memory import fit_of, map_problem
from webapp.jobs.models import SynthesisRequest, WorkerHeartbeat
from webapp.jobs.requests import request_submit
from webapp.jobs.services import heartbeat_record

pytestmark = pytest.mark.django_db

GB = 10**9
RECIPE: dict[str, Any] = {
    "image": {"rows": 512, "columns": 512},
    "field": {"spacing_mm": [0.5, 4.0], "fov_mm": [200.0, 600.0]},
    "mask_trained": False,
    "components": {
        "unet": {"parameters": 860_000_000, "bytes": 1_720_000_000, "largest": 60_000_000},
        "text_encoder": {"parameters": 123_000_000, "bytes": 246_000_000, "largest": 38_000_000},
        "vae": {"parameters": 84_000_000, "bytes": 168_000_000, "largest": 2_400_000},
    },
    "backbone": {
        "name": "stable_diffusion",
        "components": {
            "unet": {"block_out_channels": [320, 640, 1280, 1280]},
            "text_encoder": {"hidden_size": 768, "max_position_embeddings": 77},
            "vae": {"block_out_channels": [128, 256, 512, 512]},
        },
    },
}


@pytest.fixture
def model() -> Any:
    made = factories.generative_model()
    made.recipe = {**made.recipe, **RECIPE, "image": {**made.recipe["image"], **RECIPE["image"]}}
    made.save(update_fields=["recipe"])
    return made


def worker(device: str, memory: int | None, name: str = "one") -> None:
    heartbeat_record(
        worker=name,
        queue="compute",
        host="h",
        device=device,
        memory=memory,
        warm_models=[],
        job_id=None,
        started_at=timezone.now(),
    )


def test_nothing_is_said_where_nothing_is_known(model: Any) -> None:
    assert fit_of(model) is None  # nobody is at work
    worker("cuda:0", None)
    assert fit_of(model) is None  # the worker does not tell
    worker("mps", 1 * GB)
    assert fit_of(model) is None  # a device that is not known
    worker("cpu", 1 * GB)
    assert fit_of(factories.generative_model(name="other")) is None  # the model does not tell


@pytest.mark.parametrize(
    ("device", "memory", "plan", "words"),
    [
        ("cuda:0", 24 * GB, "whole", "about 2.6 GB of the 21.6 GB on the worker's device, as a whole"),
        ("cuda:0", 2.6 * GB, "staged", "its parts one after another"),
        ("cuda:0", 1.2 * GB, "sequential", "its layers one by one"),
        ("cpu", 16 * GB, "whole", "as a whole"),
    ],
)
def test_how_it_fits_the_device_at_work(
    model: Any, device: str, memory: float, plan: str, words: str
) -> None:
    worker(device, int(memory))
    fit = fit_of(model)
    assert fit is not None
    assert fit.plan == plan
    assert words in fit.words
    assert fit.need <= fit.memory


def test_the_best_of_several_devices_counts_and_dead_ones_do_not(model: Any) -> None:
    worker("cpu", 1 * GB, "small")
    worker("cuda:0", 24 * GB, "large")
    fit = fit_of(model)
    assert fit is not None
    assert fit.plan == "whole"
    WorkerHeartbeat.objects.filter(worker="large").update(seen_at=timezone.now() - timedelta(hours=1))
    fit = fit_of(model)
    assert fit is not None
    assert fit.plan == ""


def test_what_no_device_could_hold_is_refused_with_both_numbers(
    model: Any, people: dict[str, Any], client_of: Callable[[Any], Client]
) -> None:
    worker("cpu", 1 * GB)
    parameters = {"condition": {"modality": "CT"}, "sampler": {"steps": 1}, "phantom_seed": 0}
    with pytest.raises(ApplicationError, match=r"needs 2\.\d GB of memory .* has 900 MB for it") as refused:
        request_submit(user=people["researcher"], model=model, parameters=parameters)
    assert refused.value.field == "model"
    assert not SynthesisRequest.objects.exists()
    form = {
        "model": str(model.pk),
        **{"modality": "CT", "severity": "none", "steatosis": "0", "count": "1", "sampler": "euler"},
        **{"steps": "1", "guidance": "1", "phantom_seed": "0"},
    }
    client = client_of(people["researcher"])
    page = client.post(reverse("jobs:synthesise-check"), form).content.decode()
    assert "has 900 MB for it" in page
    worker("cuda:0", 24 * GB)
    page = client.post(reverse("jobs:synthesise-check"), form).content.decode()
    assert "It takes about 2.6 GB of the 21.6 GB" in page.replace("&#x27;", "'")
    assert "was not trained to obey masks" in page


@pytest.mark.parametrize(
    ("memory", "words"),
    [
        (16 * GB, r"map with this model needs about 2\d\.\d GB of memory, .* has 14\.4 GB for it"),
        (2.6 * GB, "would not lie on the worker's device as a whole"),
    ],
)
def test_a_map_that_no_device_could_make_is_refused_before_it_is_asked_for(
    model: Any, people: dict[str, Any], client_of: Callable[[Any], Client], memory: float, words: str
) -> None:
    worker("cuda:0", int(memory))
    wish = {"condition": {"modality": "CT"}, "sampler": {"steps": 1}, "phantom_seed": 0}
    with pytest.raises(ApplicationError, match=words) as refused:
        request_submit(user=people["researcher"], model=model, parameters=wish | {"uncertainty": True})
    assert refused.value.field == "uncertainty"
    assert request_submit(user=people["researcher"], model=model, parameters=wish)
    form = {
        "model": str(model.pk),
        **{"modality": "CT", "severity": "none", "steatosis": "0", "count": "1", "sampler": "euler"},
        **{"steps": "1", "guidance": "1", "phantom_seed": "0", "uncertainty": "yes"},
    }
    page = client_of(people["researcher"]).post(reverse("jobs:synthesise-check"), form).content.decode()
    assert re.search(words, page.replace("&#x27;", "'"))
    worker("cuda:0", 48 * GB)
    assert map_problem(model) is None


def test_a_counterfactual_that_no_device_could_hold_is_refused_like_any_other(
    people: dict[str, Any],
) -> None:
    made = factories.generative_model(name="sparing")
    made.recipe = {
        key: value for key, value in RECIPE.items() if key in ("components", "backbone")
    } | made.recipe
    made.save(update_fields=["recipe"])
    worker("cpu", 100_000_000)
    with pytest.raises(ApplicationError, match=r"needs .* has 90 MB for it") as refused:
        edit_request(people["researcher"], model=made)
    assert (refused.value.field, refused.value.code) == ("model", "too_large")
    assert not SynthesisRequest.objects.exists()
    worker("cpu", 24 * GB)
    assert edit_request(people["researcher"], model=made).jobs.exists()


def test_a_method_that_goes_back_through_the_model_needs_it_whole(people: dict[str, Any]) -> None:
    made = factories.generative_model(name="worded")
    made.recipe = made.recipe | {key: RECIPE[key] for key in ("components", "backbone")}
    made.recipe["image"] = {**made.recipe["image"], "rows": 128, "columns": 128}
    made.save(update_fields=["recipe"])
    words = CHANGE | {"edit": {"method": "pix2pix_zero"}}
    worker("cuda:0", int(1.2 * GB))
    assert edit_request(people["researcher"], model=made).jobs.exists()  # layer by layer
    with pytest.raises(ApplicationError, match="follows changes back through the model") as refused:
        edit_request(people["researcher"], model=made, parameters=words)
    assert (refused.value.field, refused.value.code) == ("method", "too_large")
    worker("cuda:0", 24 * GB)
    assert edit_request(people["researcher"], model=made, parameters=words).jobs.exists()
    whole, back = fit_of(made), fit_of(made, "pix2pix_zero")
    assert whole is not None
    assert back is not None
    assert back.need > whole.need


@pytest.mark.parametrize("method", ["flow_inversion", "pix2pix_zero"])
def test_the_images_of_one_batch_count_together(people: dict[str, Any], method: str) -> None:
    made = factories.generative_model(name="worded")
    made.recipe = made.recipe | {key: RECIPE[key] for key in ("components", "backbone")}
    made.recipe["image"] = {**made.recipe["image"], "rows": 128, "columns": 128}
    made.save(update_fields=["recipe"])
    wish = CHANGE | {"edit": {"method": method, "variety": 0.5}}
    worker("cpu", 24 * GB)
    one, many = fit_of(made, method), fit_of(made, method, 8)
    assert one is not None
    assert many is not None
    assert many.need > one.need
    least = footprint_of_edit(made.recipe, method=method, count=1)
    most = footprint_of_edit(made.recipe, method=method, count=8)
    assert least is not None
    assert most is not None
    worker("cpu", (least.least("cpu") + most.least("cpu")) // 2 * 10 // 9)
    assert edit_request(people["researcher"], model=made, parameters=wish).jobs.exists()
    with pytest.raises(ApplicationError, match=r"change 8 images at once .* Ask for fewer images") as refused:
        edit_request(people["researcher"], model=made, parameters=wish, count=8)
    assert (refused.value.field, refused.value.code) == ("count", "too_large")


def test_a_reader_s_verdict_is_followed_back_through_the_decoder(model: Any) -> None:
    worker("cuda:0", 24 * GB)
    plain, guided = fit_of(model, "flow_inversion"), fit_of(model, "guided")
    assert plain is not None
    assert guided is not None
    assert guided.need > plain.need
