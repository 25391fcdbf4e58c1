"""Installing adapters: what is taken, what is refused, in which words, and what the pages show."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from tests import factories
from tests.unit.synthesis.test_plain_yaml import LAUGHS
from tests.unit.webapp.registry.test_install import RECIPE, save, write
from webapp.core.errors import Conflict
from webapp.core.models import AuditEvent
from webapp.registry.health import model_health
from webapp.registry.models import Adapter, GenerativeModel
from webapp.registry.selectors import adapter_folder, adapter_get_for, adapter_list_for
from webapp.registry.services import model_install, model_offer
from webapp.registry.services_adapters import adapter_install, adapter_offer
from webapp.registry.weights import NotAModel

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]

ABOUT = {"name": "sharp", "version": "1.0", "title": "Sharper", "licence": "CC0-1.0", "summary": "Sharper."}
CONFIG = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ".*qkv", "bias": "none"}
SHAPES = {"a.qkv.lora_A.weight": [2, 3], "a.qkv.lora_B.weight": [6, 2]}


@pytest.fixture
def base(tmp_path: Path) -> GenerativeModel:
    """An installed model."""
    return model_install(path=write(tmp_path / "tiny"))


def lora(
    folder: Path,
    base: GenerativeModel | None,
    *,
    config: Any = CONFIG,
    shapes: dict[str, list[int]] = SHAPES,
    fill: float = 0.5,
    prefix: str = "base_model.model.",
    **recipe: Any,
) -> Path:
    """An adapter's folder, written byte by byte as peft's format says; without a recipe for no base."""
    folder.mkdir(parents=True, exist_ok=True)
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name, shape in shapes.items():
        part = np.full(shape, fill, "<f4").tobytes()
        offsets = [len(body), len(body) + len(part)]
        header[prefix + name] = {"dtype": "F32", "shape": shape, "data_offsets": offsets}
        body += part
    save(folder / "adapter_model.safetensors", header, body)
    (folder / "adapter_config.json").write_text(json.dumps(config))
    if base is not None:
        told = {"base": {"name": base.name, "weights_sha256": base.weights_sha256}}
        (folder / "recipe.json").write_text(json.dumps(ABOUT | told | recipe))
    return folder


def test_installs_with_everything_that_the_pages_show(base: GenerativeModel, tmp_path: Path) -> None:
    manager = factories.person("data_manager")
    folder = lora(tmp_path / "sharp", base, measures={"kid": 0.1})
    (folder / "card.md").write_text("# Sharper\n\nDrawn more sharply.\n")
    adapter = adapter_install(path=folder, user=manager)
    assert (adapter.base, adapter.name, adapter.version, adapter.licence) == (base, "sharp", "1.0", "CC0-1.0")
    assert (adapter.rank, adapter.alpha, adapter.layers, adapter.parameters) == (2, 4.0, ["a.qkv"], 18)
    assert (adapter.measures, adapter.installed_by, adapter.label_set) == ({"kid": 0.1}, manager, [])
    assert adapter.share_percent == pytest.approx(300.0)
    kept = adapter_folder(adapter)
    assert adapter.weights_sha256 in str(kept)
    assert (kept / "adapter_model.safetensors").read_bytes() == (
        folder / "adapter_model.safetensors"
    ).read_bytes()
    config = json.loads((kept / "adapter_config.json").read_text())
    assert config["target_modules"] == ["a.qkv"]  # the layers by name; no pattern is kept
    assert json.loads((kept / "recipe.json").read_text())["base"]["weights_sha256"] == base.weights_sha256
    assert AuditEvent.objects.filter(action="adapter.installed", object_id=str(adapter.pk)).count() == 1


def test_the_same_again_changes_only_what_is_said(base: GenerativeModel, tmp_path: Path) -> None:
    first = adapter_install(path=lora(tmp_path / "sharp", base))
    again = adapter_install(path=lora(tmp_path / "sharp", base, title="Much sharper"))
    assert (again.pk, again.title) == (first.pk, "Much sharper")
    assert Adapter.objects.count() == 1
    assert json.loads((adapter_folder(again) / "recipe.json").read_text())["title"] == "Much sharper"


def test_a_version_never_changes(base: GenerativeModel, tmp_path: Path) -> None:
    adapter_install(path=lora(tmp_path / "sharp", base))
    with pytest.raises(Conflict, match="A version never changes"):
        adapter_install(path=lora(tmp_path / "other", base, fill=0.25))
    with pytest.raises(Conflict, match="with rank 2 and alpha 4"):
        adapter_install(path=lora(tmp_path / "strong", base, config=CONFIG | {"lora_alpha": 40}, name="b"))
    assert adapter_install(path=lora(tmp_path / "other", base, fill=0.25, version="1.1")).version == "1.1"


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ({"name": "sharper"}, "installed as sharp 1.0. They keep this name"),
        ({"version": "1.1"}, "installed as sharp 1.0. They keep this name"),
        (
            {"label_set": [{"value": 3, "name": "heart", "color": "#ff0000"}]},
            "another label_set in the recipe",
        ),
        ({"modalities": ["T1"]}, "another modalities"),
        ({"image": {"normalisation": {"CT": {"units": [0, 1], "scaled": [-1, 1]}}}}, "another image"),
        ({"calibration": {"kappa": {"1": 0.5}}}, "another calibration"),
        ({"sampler": {"name": "euler"}, "mask_trained": False}, "another sampler, mask_trained"),
    ],
)
def test_what_a_version_draws_never_changes(
    base: GenerativeModel, tmp_path: Path, recipe: dict[str, Any], words: str
) -> None:
    adapter = adapter_install(path=lora(tmp_path / "sharp", base, calibration={"kappa": {"1": 0.25}}))
    kept = (adapter_folder(adapter) / "recipe.json").read_text()
    with pytest.raises(Conflict, match=words):
        adapter_install(
            path=lora(tmp_path / "again", base, **({"calibration": {"kappa": {"1": 0.25}}} | recipe))
        )
    before = {"name": "sharp", "version": "1.0", "recipe": adapter.recipe, "label_set": []}
    assert Adapter.objects.values(*before).get() == before
    assert (adapter_folder(adapter) / "recipe.json").read_text() == kept


def test_one_for_a_model_that_is_not_here_is_refused(tmp_path: Path) -> None:
    elsewhere = factories.generative_model()
    folder = lora(tmp_path / "sharp", elsewhere)
    elsewhere.delete()
    with pytest.raises(NotAModel, match=r"is not installed here\. Install that model first"):
        adapter_install(path=folder)
    assert not Adapter.objects.exists()
    assert not default_storage.exists("adapters")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (CONFIG | {"peft_type": "IA3"}, "not a plain LoRA"),
        (CONFIG | {"use_dora": True}, "not a plain LoRA"),
        (CONFIG | {"rank_pattern": {"a": 4}}, r"treats some layers differently \(rank_pattern\)"),
        (CONFIG | {"modules_to_save": ["head"]}, "modules_to_save"),
        (CONFIG | {"bias": "all"}, r"differently \(bias\)"),
        (CONFIG | {"r": 0}, "rank r as a whole number above 0"),
        (CONFIG | {"r": 4}, "not of rank 4"),
        (CONFIG | {"lora_alpha": "much"}, "lora_alpha as a number"),
        (CONFIG | {"lora_alpha": 1e400}, "adapter_config.json holds Infinity, which is no number"),
        (["LORA"], "not a table of settings"),
    ],
)
def test_settings_that_are_not_taken(base: GenerativeModel, tmp_path: Path, config: Any, words: str) -> None:
    with pytest.raises(NotAModel, match=words):
        adapter_install(path=lora(tmp_path / "sharp", base, config=config))


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"a.qkv.lora_A.weight": [2, 3]}, "only one of the two matrices of the layer 'a.qkv'"),
        (SHAPES | {"a.qkv.weight": [6, 3]}, "which is no part of a plain LoRA"),
        (SHAPES | {"a.lora_magnitude_vector.weight": [6]}, "no part of a plain LoRA"),
        ({"a.lora_embedding_A": [2, 3], "a.lora_embedding_B": [3, 2]}, "no part of a plain LoRA"),
        ({"a.lora_A.weight": [2], "a.lora_B.weight": [2]}, "not of rank 2"),
        ({}, "holds no weights"),
    ],
)
def test_tensors_that_are_not_taken(
    base: GenerativeModel, tmp_path: Path, shapes: dict[str, list[int]], words: str
) -> None:
    with pytest.raises(NotAModel, match=words):
        adapter_install(path=lora(tmp_path / "sharp", base, shapes=shapes))


def break_weights(folder: Path, content: bytes) -> None:
    (folder / "adapter_model.safetensors").write_bytes(content)


@pytest.mark.parametrize(
    ("breaking", "words"),
    [
        (lambda f: break_weights(f, b"\x80\x04pickle" + b"\0" * 99), "pickled checkpoint"),
        (lambda f: break_weights(f, b"PK\x03\x04" + b"\0" * 99), "pickled checkpoint"),
        (lambda f: break_weights(f, struct.pack("<Q", 2**40) + b"{}"), "cut off"),
        (lambda f: break_weights(f, (f / "adapter_model.safetensors").read_bytes()[:-4]), "damaged|cut off"),
        (lambda f: (f / "adapter_config.json").write_text("{"), "adapter_config.json is not JSON"),
        (lambda f: (f / "adapter_config.json").write_text("[" * 100_000), "is not JSON"),
        (lambda f: (f / "adapter_config.json").write_text(" " * 5_000_000), "larger than 4 MB"),
        (lambda f: (f / "adapter_config.json").unlink(), "adapter_config.json is not there"),
        (lambda f: (f / "recipe.json").write_text("7"), "recipe.json is not a table"),
        (lambda f: (f / "recipe.json").write_text('{"measures": {"kid": NaN}}'), "recipe.json holds NaN"),
        (lambda f: (f / "recipe.json").write_text('{"kid": -1e400}'), "recipe.json holds -1e400"),
        (lambda f: (f / "semblance.yaml").write_text(LAUGHS), "Aliases .* are not taken"),
        (lambda f: (f / "card.md").write_text("x" * 2_000_000), "card.md is larger than 1 MB"),
        (lambda f: (f / "conditioning.safetensors").write_bytes(b"\x80\x04"), "pickled|not a safetensors"),
    ],
)
def test_hostile_files_are_refused_in_words(
    base: GenerativeModel, tmp_path: Path, breaking: Callable[[Path], Any], words: str
) -> None:
    folder = lora(tmp_path / "sharp", base)
    breaking(folder)
    with pytest.raises(NotAModel, match=words):
        adapter_install(path=folder)
    assert not Adapter.objects.exists()


def test_a_pattern_that_would_never_end_is_never_run(base: GenerativeModel, tmp_path: Path) -> None:
    endless = CONFIG | {"target_modules": "(a*)*" * 40 + "!"}
    adapter = adapter_install(path=lora(tmp_path / "sharp", base, config=endless))
    assert "(a*)*" not in (adapter_folder(adapter) / "adapter_config.json").read_text()


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ({"name": "Not Short"}, "must be short"),
        ({"name": "new"}, "an address of the site"),
        ({"version": "1 0"}, "must be letters"),
        ({"title": ""}, "title"),
        ({"licence": ""}, "states a licence"),
        ({"image": {"rows": 64, "columns": 64}}, "another size than its model's, which has 16 × 16"),
        ({"label_set": [{"value": 999}]}, "must be 0 to 255"),
        ({"field": {"spacing_mm": [3, 2]}}, "must rise"),
        ({"modalities": 5}, "modalities must be a list of names"),
        ({"modalities": ["CT", 5]}, "modalities must be a list of names"),
    ],
)
def test_what_the_recipe_must_say(
    base: GenerativeModel, tmp_path: Path, recipe: dict[str, Any], words: str
) -> None:
    with pytest.raises(NotAModel, match=words):
        adapter_install(path=lora(tmp_path / "sharp", base, **recipe))


def test_one_from_elsewhere_needs_to_be_told_its_model(base: GenerativeModel, tmp_path: Path) -> None:
    folder = lora(tmp_path / "foreign", None, prefix="unet.")
    with pytest.raises(NotAModel, match="--about"):
        adapter_install(path=folder)
    for stated in ("tiny", "tiny 1.0", base.weights_sha256, {"name": "tiny", "version": "1.0"}):
        adapter = adapter_install(path=folder, about=ABOUT | {"base": stated})
        assert (adapter.base, adapter.title) == (base, "Sharper")
    (folder / "semblance.yaml").write_text("a: [" * 9)
    with pytest.raises(NotAModel, match="cannot be read as YAML"):
        adapter_install(path=folder)
    (folder / "semblance.yaml").write_text(
        "base: tiny 1.0\nname: sharp\nversion: 1.0\ntitle: From its folder\nlicence: MIT\n"
    )
    assert adapter_install(path=folder).title == "From its folder"
    with pytest.raises(NotAModel, match=r"belongs to tiny 2.0, which is not installed"):
        adapter_install(path=folder, about=ABOUT | {"base": "tiny 2.0"})
    model_install(path=write(tmp_path / "next", RECIPE | {"version": "1.1"}, fill=0.75))
    with pytest.raises(NotAModel, match="several versions of tiny here; name one"):
        adapter_install(path=folder, about=ABOUT | {"base": "tiny"})


def test_its_own_recipe_decides_over_what_is_told(base: GenerativeModel, tmp_path: Path) -> None:
    other = model_install(path=write(tmp_path / "next", RECIPE | {"version": "1.1"}, fill=0.75))
    folder = lora(tmp_path / "sharp", base)
    adapter = adapter_install(path=folder, about={"base": other.weights_sha256, "title": "Told"})
    assert (adapter.base, adapter.title) == (base, "Sharper")


def test_what_it_says_of_masks_holds_with_it_alone(base: GenerativeModel, tmp_path: Path) -> None:
    labels = [
        {"value": 0, "name": "air", "color": "#000000"},
        {"value": 5, "name": "heart", "color": "#ff0000"},
    ]
    adapter = adapter_install(path=lora(tmp_path / "heart", base, label_set=labels, modalities=["T2"]))
    assert (adapter.modalities, base.modalities) == (["T2"], ["CT"])
    assert base.label_set_with(adapter) == labels
    assert base.label_set_with(None) == RECIPE["label_set"]
    assert base.recipe_with(adapter)["name"] == "tiny"
    assert base.recipe_with(None) is base.recipe


def test_the_command_tells_adapters_from_models(base: GenerativeModel, tmp_path: Path) -> None:
    call_command("install_model", str(lora(tmp_path / "sharp", base)), now=True, verbosity=0)
    foreign = lora(tmp_path / "foreign", None, fill=0.25)
    with pytest.raises(CommandError, match="--about"):
        call_command("install_model", str(foreign), now=True, verbosity=0)
    about = tmp_path / "about.yaml"
    about.write_text("base: tiny 1.0\nname: foreign\nversion: 2\ntitle: From elsewhere\nlicence: MIT\n")
    call_command("install_model", str(foreign), about=about, now=True, verbosity=0)
    assert {str(one) for one in Adapter.objects.all()} == {"Sharper 1.0", "From elsewhere 2"}
    about.write_text("[1")
    with pytest.raises(CommandError, match="cannot be read as YAML"):
        call_command("install_model", str(foreign), about=about, now=True, verbosity=0)


def test_withdrawn_with_its_model_and_by_itself(base: GenerativeModel, tmp_path: Path) -> None:
    manager, clinician = factories.person("data_manager"), factories.person("clinician")
    adapter = adapter_install(path=lora(tmp_path / "sharp", base))

    def offered() -> list[Adapter]:
        return list(adapter_list_for(user=clinician, model=base, offered_only=True))

    assert offered() == [adapter]
    assert model_health()["adapters"] == ["sharp 1.0"]
    with pytest.raises(PermissionDenied):
        adapter_offer(user=clinician, adapter=adapter, offered=False)
    adapter_offer(user=manager, adapter=adapter, offered=False)
    assert offered() == []
    assert adapter_get_for(user=clinician, name="sharp") == adapter
    adapter_offer(user=manager, adapter=adapter, offered=True)
    model_offer(user=manager, model=base, offered=False)
    assert offered() == []


def test_health_names_adapters_whose_files_are_gone(base: GenerativeModel, tmp_path: Path) -> None:
    adapter = adapter_install(path=lora(tmp_path / "sharp", base))
    assert model_health()["ok"]
    default_storage.delete(adapter.weights_path)
    assert model_health()["without_weights"] == ["sharp 1.0"]


def test_pages_show_it_beside_its_model(
    base: GenerativeModel, tmp_path: Path, client_of: Callable[[Any], Client]
) -> None:
    folder = lora(tmp_path / "sharp", base, measures={"kid": {"value": 0.1, "goal": 0.2, "reached": True}})
    (folder / "card.md").write_text("# Sharper\n\nDrawn <script>more</script> sharply.\n")
    adapter = adapter_install(path=folder)
    browser = client_of(factories.person("clinician"))
    listed = browser.get(base.get_absolute_url()).content.decode()
    assert f'href="{adapter.get_absolute_url()}"' in listed.replace("&amp;", "&")
    page = browser.get(adapter.get_absolute_url()).content.decode()
    for words in ("Sharper", "rank 2, alpha 4", "1 layer", adapter.weights_sha256, "reached", "same masks"):
        assert words in page
    assert "<script>more" not in page
    assert f"?adapter={adapter.pk}" in page
    assert browser.get(reverse("registry:adapter-detail", args=["nothing"])).status_code == 404
    assert "Withdraw" not in page
    manager = client_of(factories.person("data_manager"))
    manager.post(reverse("registry:adapter-offered", args=["sharp", "1.0"]), {"offered": "no"})
    adapter.refresh_from_db()
    assert not adapter.is_active


def test_an_upload_is_kept_aside_for_a_worker(
    base: GenerativeModel, tmp_path: Path, client_of: Callable[[Any], Client]
) -> None:
    from webapp.jobs.models import Job
    from webapp.registry.services_adapters import adapter_install_execute, adapter_upload_forget

    folder = lora(tmp_path / "sharp", base)
    names = {"weights": "adapter_model.safetensors", "config": "adapter_config.json", "recipe": "recipe.json"}
    manager = factories.person("data_manager")
    address = reverse("registry:adapter-install")

    def post(**changed: Any) -> Any:
        files = {key: (folder / name).open("rb") for key, name in names.items()}
        return client_of(manager).post(address, files | changed)

    answer = post()
    job = Job.objects.get()
    assert answer.status_code == 302
    assert (job.kind, job.queue) == ("install_adapter", "compute")
    adapter = adapter_install_execute(payload=job.payload, user=manager)
    assert (adapter.name, adapter.installed_by) == ("sharp", manager)
    assert adapter_install_execute(payload=job.payload, user=manager) == adapter  # a job may be tried again
    adapter_upload_forget(payload=job.payload)
    assert default_storage.listdir(job.payload["staged"])[1] == []
    (tmp_path / "weights.bin").write_bytes(b"\x80\x04")
    refused = post(weights=(tmp_path / "weights.bin").open("rb"))
    assert refused.status_code == 400
    assert "refused unopened" in refused.content.decode()
    assert Job.objects.count() == 1


def test_an_upload_that_no_job_is_made_of_is_cleared_away(
    base: GenerativeModel, tmp_path: Path, client_of: Callable[[Any], Client], settings: Any
) -> None:
    settings.JOB_QUOTA = 0
    folder = lora(tmp_path / "sharp", base)
    client = client_of(factories.person("data_manager"))
    names = {"weights": "adapter_model.safetensors", "config": "adapter_config.json", "recipe": "recipe.json"}
    files: dict[str, Any] = {key: (folder / name).open("rb") for key, name in names.items()}
    refused = [client.post(reverse("registry:adapter-install"), files)]
    with (tmp_path / "tiny" / "model.safetensors").open("rb") as weights:
        files = {"weights": weights, "card": (folder / "recipe.json").open("rb")}
        refused.append(client.post(reverse("registry:model-install"), files))
    for answer in refused:
        assert "Nothing was handed in" in answer.content.decode()
    staged = Path(settings.MEDIA_ROOT) / "staged-models"
    assert len(list(staged.iterdir())) == 2
    assert [path for path in staged.rglob("*") if path.is_file()] == []
