"""Installing a model: what is taken, what is refused, and in which words."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.storage import default_storage
from django.http import Http404

from tests import factories
from webapp.core.errors import Conflict
from webapp.core.models import AuditEvent
from webapp.registry.models import GenerativeModel
from webapp.registry.selectors import model_folder, model_get_for, model_list_for
from webapp.registry.services import model_install, model_offer
from webapp.registry.weights import NotAModel, read_checkpoint

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]

RECIPE: dict[str, Any] = {
    "name": "tiny",
    "version": "1.0",
    "title": "Tiny",
    "method": "rectified flow",
    "licence": "Apache-2.0",
    "backbone": {"name": "unet", "channels": [4]},
    "modalities": ["CT"],
    "image": {"rows": 16, "columns": 16},
    "label_set": [{"value": 0, "name": "air", "color": "#000000"}],
    "field": {"spacing_mm": [2, 3.5], "fov_mm": [200, 400]},
    "measures": {"organ_error_hu": {"value": 3.1, "goal": 5}},
}


def write(
    folder: Path, recipe: Any = RECIPE, *, fill: float = 0.5, card: str = "# Tiny\n\nA tiny model.\n"
) -> Path:
    """A valid checkpoint, written byte by byte as the format's specification says."""
    folder.mkdir(parents=True, exist_ok=True)
    values = np.full((2, 3), fill, "<f2").tobytes()
    header = {
        "__metadata__": {"recipe": json.dumps(recipe)},
        "weight": {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, len(values)]},
    }
    save(folder / "model.safetensors", header, values)
    (folder / "card.md").write_text(card)
    return folder


def save(path: Path, header: Any, body: bytes) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def test_installs_with_everything_that_the_pages_show(tmp_path: Path) -> None:
    manager = factories.person("data_manager")
    model = model_install(path=write(tmp_path / "tiny"), user=manager)
    assert (model.name, model.version, model.licence, model.backbone) == ("tiny", "1.0", "Apache-2.0", "unet")
    assert model.summary == "A tiny model."
    assert model.parameters == 6
    assert model.field == {"spacing_mm": [2.0, 3.5], "fov_mm": [200.0, 400.0], "rows": 16, "columns": 16}
    assert model.installed_by == manager
    assert (model_folder(model) / "model.safetensors").read_bytes() == (
        tmp_path / "tiny" / "model.safetensors"
    ).read_bytes()
    assert AuditEvent.objects.filter(action="model.installed", object_id=str(model.pk)).count() == 1


def test_the_real_writer_makes_what_is_read_here(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    path = tmp_path / "model.safetensors"
    save_file(
        {"a": torch.zeros(3, 4), "b": torch.ones(5, dtype=torch.bfloat16)},
        path,
        {"recipe": json.dumps(RECIPE)},
    )
    read = read_checkpoint(tmp_path, max_bytes=10**6)
    assert read.parameters == 17
    assert read.recipe == RECIPE


def test_installing_the_same_again_changes_only_the_words(tmp_path: Path) -> None:
    first = model_install(path=write(tmp_path / "a"))
    again = model_install(path=write(tmp_path / "a"))
    assert again.pk == first.pk
    assert AuditEvent.objects.filter(object_id=str(first.pk)).count() == 1
    described = model_install(path=write(tmp_path / "a", card="# Tiny\n\nBetter words.\n"))
    assert described.pk == first.pk
    assert described.summary == "Better words."
    assert GenerativeModel.objects.count() == 1


def test_a_version_never_changes_its_weights(tmp_path: Path) -> None:
    model_install(path=write(tmp_path / "a"))
    with pytest.raises(Conflict, match="give the new weights a new version"):
        model_install(path=write(tmp_path / "b", fill=0.25))
    newer = model_install(path=write(tmp_path / "b", RECIPE | {"version": "1.1"}, fill=0.25))
    assert newer.version == "1.1"


@pytest.mark.parametrize("name", ["model.ckpt", "pytorch_model.bin", "weights.pt"])
def test_pickles_are_refused_unopened(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(NotAModel, match="pickled checkpoint"):
        model_install(path=tmp_path)
    with pytest.raises(NotAModel, match="pickled checkpoint"):
        model_install(path=tmp_path / name)


@pytest.mark.parametrize("content", [b"\x80\x04cos\nsystem\n", b"PK\x03\x04rest of a zip"])
def test_a_pickle_under_another_name_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(NotAModel, match="pickled"):
        model_install(path=tmp_path)


@pytest.mark.parametrize("length", [0x280, 0x4B50])
def test_a_length_that_looks_like_a_pickle_s_start_is_a_length(tmp_path: Path, length: int) -> None:
    write(tmp_path)
    path = tmp_path / "model.safetensors"
    content = path.read_bytes()
    old = struct.unpack("<Q", content[:8])[0]
    header = content[8 : 8 + old]
    wanted = length if length > len(header) else length + 0x400
    path.write_bytes(struct.pack("<Q", wanted) + header.ljust(wanted) + content[8 + old :])
    assert path.read_bytes()[0] == length & 0xFF
    assert model_install(path=tmp_path).parameters == 6


def _header(**tensor: Any) -> dict[str, Any]:
    entry = {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]} | tensor
    return {"__metadata__": {"recipe": json.dumps(RECIPE)}, "weight": entry}


def _stated(**values: Any) -> dict[str, Any]:
    return _header() | {"__metadata__": {"recipe": json.dumps(RECIPE | values)}}


@pytest.mark.parametrize(
    ("header", "body", "words"),
    [
        (_header(), bytes(11), "cut off"),
        (_header(), bytes(13), "appended"),
        (_header(shape=[2, 4]), bytes(12), "does not have the size"),
        (_header(shape=[-2, -3]), bytes(12), "does not have the size"),
        (_header(dtype="F12"), bytes(12), "makes no sense"),
        (_header(data_offsets=[4, 16]), bytes(16), "overlap or leave gaps"),
        (_header() | {"twin": _header()["weight"]}, bytes(12), "overlap or leave gaps"),
        ({"__metadata__": {"recipe": json.dumps(RECIPE)}}, b"", "holds no weights"),
        ({"weight": _header()["weight"]}, bytes(12), "carries no recipe"),
        (_header() | {"__metadata__": {"recipe": "{"}}, bytes(12), "not JSON"),
        (_header() | {"__metadata__": {"recipe": "[]"}}, bytes(12), "not a table"),
        (_stated(prompts=["a"]), bytes(12), "prompts is not a table"),
        (_stated(backbone=7), bytes(12), "backbone is not a table"),
        (_stated(prompts={"diagnoses": ["a"]}), bytes(12), "diagnoses are not a table"),
        ([1], b"", "not a table"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, header: Any, body: bytes, words: str) -> None:
    save(tmp_path / "model.safetensors", header, body)
    with pytest.raises(NotAModel, match=words):
        model_install(path=tmp_path)
    assert not GenerativeModel.objects.exists()
    assert not default_storage.exists("models")


@pytest.mark.parametrize(
    "content", [b"", b"abc", struct.pack("<Q", 2**63), struct.pack("<Q", 4) + b"\xff\xfe{}"]
)
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(NotAModel, match="not a safetensors file"):
        model_install(path=tmp_path)


def test_a_deeply_nested_header_is_refused(tmp_path: Path) -> None:
    text = b"[" * 200_000
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(NotAModel, match="not JSON"):
        model_install(path=tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "Ab c"}, "lower-case letters"),
        ({"name": "../up"}, "lower-case letters"),
        ({"version": ""}, "version"),
        ({"version": "a b"}, "letters, digits, dots"),
        ({"title": None}, "title"),
        ({"licence": ""}, "licence"),
        ({"modalities": []}, "modalities"),
        ({"backbone": {}}, "backbone"),
        ({"image": {"rows": 0, "columns": 4}}, "rows and columns"),
        ({"label_set": []}, "label set"),
        ({"label_set": [{"value": 300, "name": "x", "color": "#000000"}]}, "0 to 255"),
        ({"label_set": [{"value": 1, "name": "x", "color": "red"}]}, "colour"),
        ({"label_set": [{"value": 1, "name": "x", "color": "#000000"}] * 2}, "twice"),
        ({"field": {"spacing_mm": [3, 2], "fov_mm": [1, 2]}}, "must rise"),
        ({"field": {"spacing_mm": [0, 2], "fov_mm": [1, 2]}}, "two lengths"),
        ({"field": None}, "fields of view"),
        ({"measures": {"kid": {"value": float("nan")}}}, "holds NaN, which is no number. Nothing was"),
        ({"backbone": {"name": "unet", "scale": float("-inf")}}, "holds -Infinity"),
    ],
)
def test_a_recipe_must_say_what_the_site_needs(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(NotAModel, match=words):
        model_install(path=write(tmp_path, RECIPE | change))


def test_a_model_may_say_that_no_sizes_are_known(tmp_path: Path) -> None:
    model = model_install(path=write(tmp_path, RECIPE | {"field": {}}))
    assert model.field == {key: RECIPE["image"][key] for key in ("rows", "columns")}


def test_the_licence_may_stand_in_the_card(tmp_path: Path) -> None:
    recipe = {key: value for key, value in RECIPE.items() if key != "licence"}
    model = model_install(path=write(tmp_path, recipe, card="# Tiny\n\n| **Licence** | CC-BY-4.0 |\n"))
    assert model.licence == "CC-BY-4.0"


def test_a_digest_beside_the_weights_must_match(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "model.sha256").write_text("0" * 64 + "  model.safetensors\n")
    with pytest.raises(NotAModel, match="not the published file"):
        model_install(path=tmp_path)


def test_too_large_and_absent(tmp_path: Path, settings: Any) -> None:
    settings.MODEL_PATH_MAX_BYTES = 100
    with pytest.raises(NotAModel, match="Nothing was installed"):
        model_install(path=write(tmp_path))
    with pytest.raises(NotAModel, match="There is nothing"):
        model_install(path=tmp_path / "absent")


def test_only_data_managers_install_and_withdraw(tmp_path: Path, people: dict[str, Any]) -> None:
    folder = write(tmp_path)
    with pytest.raises(PermissionDenied):
        model_install(path=folder, user=people["clinician"])
    with pytest.raises(Http404):
        model_install(path=folder, user=people["annotator"])
    model = model_install(path=folder, user=people["data_manager"])
    with pytest.raises(PermissionDenied):
        model_offer(user=people["researcher"], model=model, offered=False)
    assert not model_offer(user=people["data_manager"], model=model, offered=False).is_active
    assert not model_list_for(user=people["clinician"], offered_only=True)
    assert model_get_for(user=people["clinician"], name="tiny") == model
    assert not model_list_for(user=people["annotator"])
