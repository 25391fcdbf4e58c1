"""Stable Diffusion with the channels of an image to be changed: fresh they say nothing, then they matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from synthesis.checkpoints import load_model, save_model
from synthesis.control.patient_prompts import PatientPrompts
from synthesis.drift import TrainedDrift
from synthesis.request import Condition
from tests.factories_models import tiny_recipe
from tests.unit.synthesis.tiny_backbones import SIDE, network_of, stir, tiny_network, tiny_pipeline


def question(network):
    labels = np.zeros((2, SIDE, SIDE), np.uint8)
    labels[:, 8:20, 8:20] = 6
    drawn = torch.Generator().manual_seed(2)
    x = torch.randn(2, *network.state_shape(SIDE, SIDE), generator=drawn)
    told = network.condition(labels, [Condition(modality="CT", severity="mild")] * 2)
    return (x, torch.tensor([0.3, 0.7]), *told), torch.randn(x.shape, generator=drawn)


@torch.no_grad()
def test_a_fresh_eye_changes_no_answer():
    plain = tiny_network("stable_diffusion")
    seeing = plain.with_image()
    assert (plain.takes_image, seeing.takes_image) == (False, True)
    assert seeing.unet.config.in_channels == 8
    assert not seeing.unet.conv_in.weight[:, 4:].any()
    assert plain.unet.conv_in.weight.shape[1] == 4
    asked, image = question(plain)
    for source in (None, image):
        torch.testing.assert_close(seeing(*asked, source=source), plain(*asked), rtol=0, atol=1e-6)
    seeing.unet.conv_in.weight[:, 4:] = 0.1
    assert not torch.allclose(seeing(*asked, source=image), plain(*asked), atol=1e-3)
    none = seeing(*asked, source=torch.zeros_like(image))
    torch.testing.assert_close(none, seeing(*asked), rtol=0, atol=0)


@torch.no_grad()
@pytest.mark.parametrize("control_first", [True, False])
def test_a_mask_may_be_taken_before_or_after(control_first):
    plain = network_of("stable_diffusion", tiny_pipeline("stable_diffusion"))
    both = plain.with_control().with_image() if control_first else plain.with_image().with_control()
    stir(both.controlnet)
    assert both.controlnet.config.in_channels == (4 if control_first else 8)
    asked, image = question(both)
    assert not torch.allclose(both(*asked, source=image), plain(*asked), atol=1e-3)


@pytest.mark.parametrize("made", ["with_image", "with_control"])
def test_what_it_is_told_in_and_its_drift_stay(made):
    plain = network_of("stable_diffusion", tiny_pipeline("stable_diffusion"))
    plain.use_prompts(PatientPrompts(image="MRI of the abdomen"))
    plain.use_drift(TrainedDrift(delta=0.2))
    other = getattr(plain, made)()
    assert other.drift == plain.drift
    asked = [Condition(modality="CT", severity="mild", age=63.0, sex="F")]
    assert other.words(asked) == plain.words(asked) == ["An MRI of the abdomen of a 63-year-old woman."]
    assert torch.isnan(other.levels(asked)).all()


def test_it_is_saved_and_read_with_its_channels(tmp_path):
    seeing = tiny_network("stable_diffusion").with_image()
    stir(seeing.unet.conv_in)
    save_model(tmp_path, seeing, tiny_recipe(SIDE, SIDE))
    model = load_model(tmp_path)
    assert model.recipe["backbone"]["takes_image"] is True
    asked, image = question(seeing)
    with torch.no_grad():
        assert torch.equal(model.network(*asked, source=image), seeing(*asked, source=image))


@torch.no_grad()
def test_a_drift_that_it_was_trained_with_stays():
    plain = network_of("stable_diffusion", tiny_pipeline("stable_diffusion"))
    plain.use_drift(TrainedDrift(delta=0.3))
    asked, _ = question(plain)
    torch.testing.assert_close(plain.with_image()(*asked), plain(*asked), rtol=0, atol=1e-6)


def test_a_source_of_another_size_a_second_eye_and_other_families_are_refused():
    plain = tiny_network("stable_diffusion")
    asked, image = question(plain)
    with pytest.raises(ValueError, match="none for this network"):
        plain(*asked, source=image)
    with pytest.raises(ValueError, match="source: expected"):
        plain.with_image()(*asked, source=image[..., :8])
    with pytest.raises(ValueError, match="is already"):
        plain.with_image().with_image()
    with pytest.raises(ValueError, match="cannot be shown"):
        tiny_network("flux").with_image()
    with pytest.raises(ValueError, match="takes 4 channels where 8"):
        type(plain)(replace(plain.options, takes_image=True))
