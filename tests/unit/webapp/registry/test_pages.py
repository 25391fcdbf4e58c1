"""The models' pages: who sees them, what they show, and that a card cannot run or load anything."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from tests import factories
from tests.unit.synthesis.test_plain_yaml import LAUGHS
from webapp.core.models import AuditEvent
from webapp.jobs.models import Job
from webapp.registry.cards import measure_rows, render_card
from webapp.registry.services import model_install_execute
from webapp.registry.weights import NotAModel

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]
ClientOf = Callable[[Any], Client]


def test_the_list_and_the_page(people: dict[str, Any], client_of: ClientOf) -> None:
    model = factories.generative_model(
        name="abdomen", measures={"organ_error_hu": {"value": 3.25, "goal": 5, "reached": True}}
    )
    client = client_of(people["clinician"])
    listed = client.get(reverse("registry:model-list"))
    assert b"Abdomen" in listed.content
    assert b"Install a model" not in listed.content
    page = client.get(model.get_absolute_url())
    assert page.status_code == 200
    for shown in (
        "3.25",
        "organ error hu",
        "reached",
        "liver",
        'fill="#c8713d"',
        model.weights_sha256,
        "250 – 500",
    ):
        assert shown in page.content.decode()


def test_an_empty_list_says_what_to_do(people: dict[str, Any], client_of: ClientOf) -> None:
    for role, words in (("clinician", b"Ask a data manager"), ("data_manager", b"Install one")):
        assert words in client_of(people[role]).get(reverse("registry:model-list")).content


@pytest.mark.parametrize(
    ("role", "list_status", "install_status"),
    [
        ("clinician", 200, 403),
        ("researcher", 200, 403),
        ("study_lead", 200, 403),
        ("data_manager", 200, 200),
        ("annotator", 404, 404),
        ("administrator", 404, 404),
    ],
)
def test_who_sees_what(
    people: dict[str, Any], client_of: ClientOf, role: str, list_status: int, install_status: int
) -> None:
    model = factories.generative_model()
    client = client_of(people[role])
    assert client.get(reverse("registry:model-list")).status_code == list_status
    assert client.get(model.get_absolute_url()).status_code == list_status
    assert client.get(reverse("registry:model-install")).status_code == install_status
    offered = reverse("registry:model-offered", args=[model.name, model.version])
    expected = {200: 302, 403: 403, 404: 404}[install_status]
    assert client.post(offered, {"offered": "no"}).status_code == expected
    model.refresh_from_db()
    assert model.is_active == (role != "data_manager")
    assert AuditEvent.objects.filter(action="model.withdrawn").exists() == (role == "data_manager")


def test_visitors_are_asked_to_sign_in() -> None:
    answer = Client().get(reverse("registry:model-list"))
    assert answer.status_code == 302
    assert reverse("accounts:login") in answer.url


def test_the_newest_offered_version_comes_first(people: dict[str, Any], client_of: ClientOf) -> None:
    factories.generative_model(name="m", version="1")
    factories.generative_model(name="m", version="2")
    factories.generative_model(name="m", version="3", is_active=False)
    client = client_of(people["clinician"])
    assert client.get(reverse("registry:model-detail", args=["m"])).context["model"].version == "2"
    other = client.get(reverse("registry:model-detail", args=["m"]) + "?version=3")
    assert other.context["model"].version == "3"
    assert client.get(reverse("registry:model-detail", args=["m"]) + "?version=4").status_code == 404


def test_a_withdrawn_model_cannot_be_asked_for(people: dict[str, Any], client_of: ClientOf) -> None:
    model = factories.generative_model(is_active=False)
    assert b"Synthesise with it" not in client_of(people["clinician"]).get(model.get_absolute_url()).content


def test_an_upload_becomes_a_job_that_refuses_a_pickle(people: dict[str, Any], client_of: ClientOf) -> None:
    client = client_of(people["data_manager"])
    address = reverse("registry:model-install")
    named = client.post(address, {"weights": SimpleUploadedFile("model.ckpt", b"\x80\x04")})
    assert named.status_code == 400
    assert "refused unopened" in named.content.decode()
    assert not Job.objects.exists()
    hidden = client.post(address, {"weights": SimpleUploadedFile("model.safetensors", b"\x80\x04cos")})
    assert hidden.status_code == 302
    job = Job.objects.get(kind="install_model")
    with pytest.raises(NotAModel, match="pickled"):
        model_install_execute(payload=job.payload, user=job.owner)


HOSTILE = """# Card
<script>alert(1)</script><img src=x onerror=alert(1)><iframe src="https://evil.example"></iframe>
<p style="position:fixed" onclick="alert(1)">text</p> [click](javascript:alert(1)) ![p](https://evil.example/p.png)

| a | b |
|---|---|
| 1 | 2 |
"""


def test_a_card_can_neither_run_nor_load_anything() -> None:
    html = str(render_card(HOSTILE))
    for forbidden in (
        "<script",
        "<img",
        "<iframe",
        "onclick",
        "onerror",
        "style=",
        "javascript:",
        "evil.example",
    ):
        assert forbidden not in html
    assert "<h2>Card</h2>" in html
    assert '<table class="table">' in html
    assert "text" in html


def test_measures_become_rows() -> None:
    rows = measure_rows(
        {
            "rft": {
                "4": {
                    "kid": {"value": 0.12345678, "goal": 0.3, "reached": True},
                    "bands": {"value": [0.9, 1.0]},
                }
            },
            "seconds": 12,
            "note": "one seed",
        }
    )
    assert [(row.name, row.value, row.goal, row.reached) for row in rows] == [
        ("rft · 4 · kid", "0.1235", "0.3", True),
        ("rft · 4 · bands", "0.9, 1", "", None),
        ("seconds", 12, "", None),
        ("note", "one seed", "", None),
    ]


def test_a_folder_on_the_server_becomes_a_job(
    people: dict[str, Any], client_of: ClientOf, settings: Any, tmp_path: Any
) -> None:
    settings.MODEL_INBOX = tmp_path
    client = client_of(people["data_manager"])
    address = reverse("registry:model-install")
    assert str(tmp_path) in client.get(address).content.decode()
    for name in ("../secret", "/etc/passwd", "a/../../b", "  "):
        refused = client.post(address, {"folder": name})
        assert refused.status_code == 400
    garbled = client.post(address, {"folder": "sd15", "about": "name: ["})
    assert garbled.status_code == 400
    assert "not YAML" in garbled.content.decode()
    for hostile in (LAUGHS, "name: .nan", "? 2026-01-01\n: x", "a: &a [*a]"):
        refused = client.post(address, {"folder": "sd15", "about": hostile})
        assert refused.status_code == 400
    assert not Job.objects.exists()
    taken = client.post(address, {"folder": "sd15", "about": "name: x\nmodalities: {CT: [-1000, 1000]}"})
    assert taken.status_code == 302
    job = Job.objects.get(kind="install_model")
    assert job.payload == {
        "path": str(tmp_path / "sd15"),
        "within": str(tmp_path),
        "about": {"name": "x", "modalities": {"CT": [-1000, 1000]}},
    }
    assert client_of(people["clinician"]).post(address, {"folder": "sd15"}).status_code == 403
