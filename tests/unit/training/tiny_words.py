"""Recipes that tell people in words, a wish for one of their models, and what a run has changed."""

from __future__ import annotations

import numpy as np
import torch

from synthesis.request import Condition, SamplerOptions, SynthesisRequest
from tests.unit.synthesis.tiny_backbones import SIDE
from tests.unit.training.tiny_training import latent_recipe

TOKEN = "<liver-1>"
PROMPTS = {"image": "MRI of the abdomen", "style": "diverse", "diagnoses": {"C": "severe liver cirrhosis"}}
NEW = {"prompts": PROMPTS | {"token": TOKEN, "token_from": "liver"}}
RARE = {"prompts": PROMPTS | {"token": "steatosis"}}  # a word that the tiny tokenizer knows
PRIOR = {"prior_images": 4, "prior_steps": 3}
INVERSION = {"name": "textual_inversion", "loss_on": "native"}


def recipe_of(base, **more):
    return latent_recipe("stable_diffusion", base, **{"prompts": PROMPTS, "steps": 3} | more)


def wish(**more):
    return SynthesisRequest(
        labels=np.zeros((SIDE, SIDE), np.uint8),
        spacing_mm=(8.0, 8.0),
        condition=Condition(**{"modality": "T2", "age": 63.0, "sex": "F", "diagnosis": "C"} | more),
        sampler=SamplerOptions(name="ddim", steps=3),
        seed=4,
    )


def moved(before, after):
    """The names of the tensors that differ, or that are new."""
    return {key for key, value in after.items() if key not in before or not torch.equal(value, before[key])}
