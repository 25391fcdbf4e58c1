"""The rows of the table of counterfactuals: which a model can make, and on what scale its images are read."""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import torch

from synthesis.imaging.intensity import Normalisation
from synthesis.metrics.judges import SCALE, FeatureNet, Judges, Segmenter, SeverityReader
from synthesis.phantoms.labels import LABEL_SET
from tests.unit.synthesis.tiny_model import tiny_model
from training import counterfactual_changes as changes
from training import counterfactuals as c
from training.counterfactual_rows import ROWS, add_rows, rows_asked, rows_for, worded_row
from training.texture_reader import TextureReader

CHANGE = changes.severity_change(3, 0)
READER = TextureReader(np.zeros((4, 5)), np.stack([np.eye(5)] * 4), np.zeros(4), 1.0)


def test_judges_see_their_own_scale_whatever_the_models(monkeypatch):
    shown = []
    monkeypatch.setattr(
        Judges, "grade", lambda self, images, masks, kinds: (shown.append(images), np.zeros(len(images)))[1]
    )
    judges = Judges(Segmenter(), SeverityReader(), FeatureNet(), about={})
    pairs = changes.pairs_of(CHANGE, "validation", 1, "CT", (128, 128))
    source = np.stack([before.image for before, _ in pairs])
    found = {"edited": source, "seconds": np.array([1.0])}
    model = tiny_model()
    flat = Normalisation(units=(-1000.0, 1000.0), scaled=(-1.0, 1.0))
    for one in (model, replace(model, normalisation={"CT": flat})):
        c.figures(found, pairs, CHANGE, one, judges, READER)
    assert torch.equal(*shown)
    assert np.allclose(shown[0][:, 0], SCALE["CT"].forward(source))


def test_a_model_is_asked_for_the_rows_that_it_can_make():
    labels = [{"value": one.value, "name": one.name} for one in LABEL_SET]
    pixels = rows_for({"backbone": {"name": "unet"}, "label_set": labels})
    assert {ROWS[row].method for row in pixels} == {"flow_inversion", "guided"}
    told = rows_for({"backbone": {"name": "stable_diffusion"}, "label_set": []})
    assert {ROWS[row].method for row in told} == {"flow_inversion", "pix2pix_zero"}
    shown = rows_for({"backbone": {"name": "unet", "takes_image": True}})
    assert {ROWS[row].method for row in shown} == {"instruct_pix2pix"}


def test_a_row_of_words_says_strength_contrast_attention_and_steps():
    name, options = worded_row("0.5,2,0,30")
    assert (name, options.method) == ("worded 0.5,2,0,30", "pix2pix_zero")
    assert (options.strength, options.contrast, options.attention, options.steps) == (0.5, 2.0, 0.0, 30)
    assert worded_row("1,1,0.1")[1].steps == ROWS["pix2pix_zero"].steps


def test_the_command_line_names_rows_and_adds_some():
    parser = argparse.ArgumentParser()
    add_rows(parser)
    recipe = {"backbone": {"name": "stable_diffusion"}}
    found = rows_asked(parser.parse_args(["--rows", "--also", "0.4,1", "--worded", "1,2,0"]), recipe)
    assert [one.method for one in found.values()] == ["flow_inversion", "pix2pix_zero"]
    assert list(rows_asked(parser.parse_args([]), recipe)) == rows_for(recipe)
    assert list(rows_asked(parser.parse_args(["--rows", "guided"]), recipe)) == ["guided"]
