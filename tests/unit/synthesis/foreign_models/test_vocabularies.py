"""Tokenizer folders become one JSON that reads prompts as the libraries themselves do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sentencepiece
from tokenizers import Tokenizer
from transformers import CLIPTokenizer

from synthesis.control.prompts import prompt_of
from synthesis.control.text import padded_tokenizer
from synthesis.errors import SynthesisError
from synthesis.foreign_models.vocabularies import read_tokenizer
from synthesis.request import Condition
from tests.unit.synthesis.tiny_text import prompts

SENTENCES = sorted({prompt.lower() for prompt in prompts()})


@pytest.fixture
def spiece(tmp_path: Path) -> Path:
    """A SentencePiece vocabulary with the numbers of T5's special pieces, trained on the spot."""
    (tmp_path / "text").write_text("\n".join(SENTENCES * 3))
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "text"),
        model_prefix=str(tmp_path / "spiece"),
        vocab_size=120,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    (tmp_path / "spiece.model").rename(folder / "spiece.model")
    return folder


def test_t5_s_pieces_are_those_of_sentencepiece(spiece: Path) -> None:
    text, pad = read_tokenizer(spiece, "", "t5")
    assert pad == "<pad>"
    tokenizer = Tokenizer.from_str(text)
    reference = sentencepiece.SentencePieceProcessor(model_file=str(spiece / "spiece.model"))
    for sentence in SENTENCES:
        assert tokenizer.encode(sentence).ids == [*reference.encode(sentence), 1]
    padded = Tokenizer.from_str(padded_tokenizer(text, length=120, pad=pad)).encode("axial")
    assert len(padded.ids) == 120
    assert padded.ids[-1] == 0


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """CLIP's two files with a small vocabulary: letters, a few merges, start and end."""
    folder = tmp_path / "tokenizer_2"
    folder.mkdir()
    letters = "abcdefghijklmnopqrstuvwxyz0123456789,.-"
    merges = ["c t</w>", "l i", "li v", "e r</w>", "liv er</w>"]
    pieces = [*letters, *(one + "</w>" for one in letters), *(m.replace(" ", "") for m in merges)]
    names = ["!", *dict.fromkeys(pieces), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({name: n for n, name in enumerate(names)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    (folder / "special_tokens_map.json").write_text(json.dumps({"pad_token": {"content": "!"}}))
    return folder


def test_clip_s_two_files_read_as_transformers_reads_them(words: Path) -> None:
    text, pad = read_tokenizer(words.parent, "tokenizer_2", "clip")
    assert pad == "!"  # the second tokenizer of SDXL pads with number 0
    tokenizer = Tokenizer.from_str(padded_tokenizer(text, length=77, pad=pad))
    reference = CLIPTokenizer.from_pretrained(words, local_files_only=True)
    for sentence in (prompt_of(Condition(modality="CT", severity="mild", age=63.0)), "", "CT  of the LIVER"):
        ids = reference(sentence).input_ids
        assert tokenizer.encode(sentence).ids == (ids + [0] * 77)[:77]
    assert reference.convert_tokens_to_ids("liver</w>") in tokenizer.encode("liver").ids


def test_a_whole_tokenizer_comes_first(words: Path) -> None:
    reference = CLIPTokenizer.from_pretrained(words, local_files_only=True)
    (words / "tokenizer.json").write_text(reference.backend_tokenizer.to_str())
    (words / "vocab.json").write_text("{")
    text, _ = read_tokenizer(words, "", "clip")
    assert Tokenizer.from_str(text).encode("ct").ids == reference("ct").input_ids


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "holds neither tokenizer.json nor vocab.json and merges.txt"),
        ({"tokenizer.json": "{}"}, "is not a tokenizer that can be read"),
        ({"tokenizer.json": "["}, "is not a tokenizer that can be read"),
        ({"vocab.json": "[]", "merges.txt": "x"}, "cannot be read as that of a tokenizer"),
        ({"tokenizer.json": "{}", "tokenizer_config.json": "["}, "is not JSON"),
    ],
)
def test_what_is_no_tokenizer_is_refused(tmp_path: Path, files: dict[str, str], words: str) -> None:
    (tmp_path / "tokenizer").mkdir()
    for name, text in files.items():
        (tmp_path / "tokenizer" / name).write_text(text)
    with pytest.raises(SynthesisError, match=words):
        read_tokenizer(tmp_path, "tokenizer", "clip")


def test_no_folder_no_prompts(tmp_path: Path) -> None:
    with pytest.raises(SynthesisError, match="no tokenizer folder tokenizer_3"):
        read_tokenizer(tmp_path, "tokenizer_3", "t5")


def test_nothing_but_the_known_files_and_words_is_handed_on(words: Path, monkeypatch) -> None:
    """A class or code that the folder names must not reach transformers."""
    evil = {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.py", None]}}
    (words / "tokenizer_config.json").write_text(json.dumps(evil | {"pad_token": "!"}))
    (words / "evil.py").write_text("raise SystemExit")
    seen: dict[str, str] = {}
    original = CLIPTokenizer.from_pretrained

    def watched(folder: str, **options: object) -> object:
        seen.update({path.name: path.read_text() for path in Path(folder).iterdir()})
        return original(folder, **options)

    monkeypatch.setattr(CLIPTokenizer, "from_pretrained", watched)
    read_tokenizer(words, "", "clip")
    assert sorted(seen) == ["merges.txt", "tokenizer_config.json", "vocab.json"]
    assert json.loads(seen["tokenizer_config.json"]) == {"pad_token": "!"}
