"""The small network that reads words of CT phantoms: what it sees, is told, and that it can be edited."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from synthesis.checkpoints import load_model
from synthesis.control.captions import captions_of
from synthesis.control.text import read_tokenizer
from synthesis.edit_request import methods_of
from synthesis.metrics.judges import FeatureNet, Judges, Segmenter, SeverityReader
from synthesis.request import Condition
from training import counterfactual_changes as changes
from training import counterfactuals
from training.counterfactual_rows import ROWS
from training.evidence import phantom_words as words
from training.evidence.drift_source import LENGTH, new_tokenizer
from training.prepare import write_shard
from training.recipe import load_recipe

TINY = words.NETWORK | {"block_out_channels": (16, 16, 16, 16), "norm_num_groups": 8}
PERSON = Condition(modality="CT", severity="severe", steatosis=2, age=63.4, sex="F")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms")
    write_shard(folder, 0, "training", load_recipe("abdomen-2d"), count=8)
    return folder


@pytest.fixture(scope="module")
def phantoms(shards):
    return words.read_phantoms(shards)


def test_only_ct_is_read_with_what_it_shows(shards, phantoms):
    rows = np.load(shards / "shard-00000" / "attributes.npy")
    assert len(phantoms) == 4 == (rows[:, 1] == 0).sum()
    assert [one.modality for one in phantoms.people] == ["CT"] * 4
    assert [one.steatosis for one in phantoms.people] == list(rows[rows[:, 1] == 0][:, 4])
    assert phantoms.livers.any((1, 2)).all()
    assert phantoms.pictures.shape == (4, 128, 128)


def test_no_shards_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no shards"):
        words.read_phantoms(tmp_path)


def test_the_latents_are_the_pixels(phantoms):
    """Whole or cut, and whatever the brightness: no picture is divided by its own spread."""
    vae = words.pixels_as_latents()
    for pictures in (phantoms.pictures, phantoms.pictures[:, :64, 32:96], 4 + phantoms.pictures / 3):
        x = torch.from_numpy(pictures)[:, None]
        with torch.no_grad():
            law = vae.encode(x).latent_dist
            made = vae.decode(law.mean).sample
        torch.testing.assert_close(law.mean, x, rtol=3e-4, atol=3e-4)
        torch.testing.assert_close(made, x, rtol=3e-4, atol=3e-4)
        assert float(law.std.max()) < 1e-4


def test_squares_hold_a_pixel_of_the_liver(phantoms):
    kinds = set()
    for seed in range(40):
        for index, rows, columns in phantoms.drawn(np.random.default_rng(seed)):
            cut = phantoms.livers[index, rows, columns]
            assert cut.any()
            kinds.add(cut.shape)
    assert kinds == {(side, side) for side, *_ in words.CUTS}


def test_every_prompt_is_one_that_the_product_makes_and_every_word_fits():
    corpus = words.corpus()
    assert set(captions_of(PERSON)) <= set(corpus)
    told = read_tokenizer("tokenizer", new_tokenizer(corpus))
    assert all("<|unknown|>" not in one.tokens for one in told.encode_batch(corpus[::37]))
    assert max(sum(one.attention_mask) for one in told.encode_batch(corpus[::37])) < LENGTH
    rng = np.random.default_rng(0)
    drawn = [words.prompt_drawn(PERSON, rng) for _ in range(300)]
    assert set(drawn) - {""} <= set(corpus)
    assert 10 < drawn.count("") < 60
    assert 0 < sum("cirrhosis" not in one for one in drawn if one) < 100
    assert {one for one in drawn if one in captions_of(PERSON)} == set(captions_of(PERSON))


def test_what_a_prompt_states_is_told_in_numbers():
    assert words.code_of(PERSON) == pytest.approx([0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0.42])
    nothing = Condition(modality="CT", severity=None, steatosis=None)
    assert words.code_of(nothing) == [0.0] * words.MEANINGS


def test_the_text_encoder_learns_what_is_said_and_not_how(tmp_path):
    """Severity moves what a prompt ends in more than another wording does; before it did not."""
    network = words.new_network(words.pixels_as_latents(), new_tokenizer(words.corpus()), TINY)
    apart = []
    for steps in (0, 150):
        if steps:
            words.learn_to_read(network, tmp_path / "text.pt", steps)
        severe = network.read(captions_of(PERSON)).tokens[:, -1]
        none = network.read(captions_of(replace(PERSON, severity="none"))).tokens[:, -1]
        apart.append(float((severe - none).norm(dim=1).mean() / (severe - severe[0]).norm(dim=1).mean()))
    assert apart[0] < 1 < apart[1]
    assert not network.learns_words


def test_steps_are_drawn_where_words_tell():
    k = words.where_words_tell(torch.Generator().manual_seed(0), 4000, 1000)
    shares = [float(((k >= low) & (k < high)).float().mean()) for low, high in ((60, 400), (800, 1000))]
    assert shares == pytest.approx([0.6 + 0.2 * 0.34, 0.2 + 0.2 * 0.2], abs=0.03)
    assert int(k.min()) < 10
    assert 990 < int(k.max()) < 1000


def test_what_it_learns_is_kept_and_words_edit_it(shards, tmp_path, monkeypatch):
    """Two steps of a tiny network: packed, opened, and through the table with a row of every kind."""
    monkeypatch.setattr(words, "NETWORK", TINY)
    monkeypatch.setattr(words, "CUTS", ((32, 4, 1.0),))
    monkeypatch.setattr(words.learn_to_read, "__defaults__", (1,))
    words.train(shards, tmp_path / "first", steps=1)
    digest = words.train(shards, tmp_path / "run", steps=2, begin=tmp_path / "first" / "network.pt")
    model = load_model(tmp_path / "run" / "model")
    read = torch.load(tmp_path / "run" / "text.pt", weights_only=True)["network"]
    for name, one in model.network.get_submodule("text_encoder").state_dict().items():
        assert torch.equal(one, read[name])  # what has learned to read stays as it is
    begun = torch.load(tmp_path / "first" / "network.pt", weights_only=True)["ema"]
    apart = [
        float((one - begun[f"unet.{name}"]).abs().max())
        for name, one in model.network.get_submodule("unet").named_parameters()
    ]
    assert 0 < max(apart) < 0.01  # two steps away from where it was begun
    assert model.weights_sha256 == digest
    assert model.normalisation["CT"] == words.SCALE
    assert set(methods_of(model.recipe)) == {"flow_inversion", "pix2pix_zero"}
    model.recipe["image"] |= {"rows": 32, "columns": 32}
    monkeypatch.setattr(changes, "LARGE_LIVER", 4)
    monkeypatch.setattr(counterfactuals, "kept_texture_reader", lambda *_: AlwaysNone())
    torch.manual_seed(1)
    judges = Judges(
        *(net().eval().requires_grad_(False) for net in (Segmenter, SeverityReader, FeatureNet)), about={}
    )
    short = {"steps": 2, "strength": 0.3}
    rows = {name: counterfactuals.replace(ROWS[name], **short) for name in ROWS if name.startswith("pix2pix")}
    rows["flow_inversion"] = counterfactuals.EditOptions(**short)
    report = counterfactuals.evaluate_counterfactuals(
        model, judges, tmp_path / "kept", split="validation", cases=1, changes=["severe-none"], rows=rows
    )["rows"]
    found = {name.split(" | ")[1]: row for name, row in report.items()}
    assert set(found) == {*rows, counterfactuals.UNEDITED, counterfactuals.RECONSTRUCTED}
    assert found[counterfactuals.RECONSTRUCTED]["null_psnr"] > 60
    assert found["pix2pix_zero"]["null_psnr"] is not None
    assert found["pix2pix_zero, attention 0"]["null_psnr"] is None
    assert found["pix2pix_zero, attention 0"]["l1"] != found["pix2pix_zero"]["l1"]
    assert found["pix2pix_zero, blended"]["outside"] < found["pix2pix_zero, whole image"]["outside"]


class AlwaysNone:
    """A texture reader that reads no cirrhosis: what is read is not asked here."""

    accuracy = 1.0

    def grade(self, images, masks):
        return np.zeros(len(images), np.int64)
