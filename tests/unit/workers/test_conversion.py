"""What a worker reads of the folder for incoming models, and what other workers left behind."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from synthesis.errors import SynthesisError
from tests.unit.webapp.registry.test_install import write
from workers import conversion
from workers.conversion import payload_size


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """A folder for incoming models with one model of ours, and a secret beside it."""
    (tmp_path / "secret" / "deep").mkdir(parents=True)
    (tmp_path / "secret" / "deep" / "CT.npz").write_bytes(b"PK\x03\x04")
    (tmp_path / "secret" / "key").write_text("secret")
    write(tmp_path / "inbox" / "model")
    return tmp_path / "inbox"


def read(inbox: Path, name: str = "model") -> int:
    return payload_size({"path": str(inbox / name), "within": str(inbox)})


def test_a_model_without_links_is_read(inbox: Path) -> None:
    size = (inbox / "model" / "model.safetensors").stat().st_size
    assert read(inbox) == read(inbox, "model/model.safetensors") == size


def test_a_link_within_the_folder_is_followed(inbox: Path) -> None:
    (inbox / "blob").write_bytes((inbox / "model" / "model.safetensors").read_bytes())
    (inbox / "model" / "model.safetensors").unlink()
    (inbox / "model" / "model.safetensors").symlink_to("../blob")
    (inbox / "model" / "again").symlink_to("../model")
    assert read(inbox) == (inbox / "blob").stat().st_size


@pytest.mark.parametrize("named", ["model", "model/model.safetensors"])
@pytest.mark.parametrize(
    ("link", "to"),
    [
        ("model.safetensors", "../../secret/key"),
        ("card.md", "../../secret/key"),
        ("measures.json", "../../secret/key"),
        ("model.sha256", "../../secret/nothing"),
        ("nearest", "../../secret/deep"),
        ("nearest/CT.npz", "../../../secret/deep/CT.npz"),
        ("nearest", "../other"),
    ],
)
def test_no_link_in_a_model_leads_outside(inbox: Path, named: str, link: str, to: str) -> None:
    (inbox / "other").mkdir()
    (inbox / "other" / "CT.npz").symlink_to("../../secret/deep/CT.npz")
    place = inbox / "model" / link
    place.parent.mkdir(exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(to)
    with pytest.raises(SynthesisError, match="leads out of the folder for incoming models"):
        read(inbox, named)


def test_the_folder_itself_may_not_be_a_link_outside(inbox: Path) -> None:
    (inbox / "linked").symlink_to("../secret")
    with pytest.raises(SynthesisError, match="leads out of the folder for incoming models"):
        read(inbox, "linked")


def test_a_link_to_itself_ends_in_words(inbox: Path) -> None:
    (inbox / "model" / "loop").symlink_to("loop")
    with pytest.raises(SynthesisError, match="is a link that leads nowhere"):
        read(inbox)


def test_what_another_worker_clears_away_meanwhile_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to("nowhere")  # listed, and not there when it is looked at
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    long_ago = time.time() - 2 * conversion.OLD_SECONDS
    os.utime(tmp_path / "old", (long_ago, long_ago))
    conversion._forget_old(tmp_path)
    assert not (tmp_path / "old").exists()
    assert (tmp_path / "new").exists()
