"""The null edit beside an edit: what a method makes of an image when nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from synthesis.catalog import COUNTERFACTUALS
from synthesis.counterfactuals import flow_inversion
from synthesis.editing import Edit, Outcome, unchanged
from synthesis.stepping import OnSamplerStep


def changed_and_not(
    work: Edit,
    *,
    method: str,
    chosen: Any,
    seeds: Sequence[int],
    tell: Sequence[OnSamplerStep | None],
    outcome: Outcome | None = None,
) -> tuple[Tensor, Tensor]:
    """The states [B, C, ...] with the change, and those that the method makes with nothing changed.

    The second are drawn from the same seeds, without variety: what they lose the method alone loses, the
    composition of Monteiro et al. (ICLR 2023), whose null edit should return the image. `chosen`: the
    method's options. `outcome`: for `guided`, the reader of what the image shows already; without one
    nothing is asked for and the image stays. `tell`: who hears of the steps of either.
    """
    still = replace(
        unchanged(work), outcome=outcome, generator=[torch.Generator().manual_seed(seed) for seed in seeds]
    )
    if isinstance(chosen, flow_inversion.Options):
        return flow_inversion.beside_unchanged(work, still, options=chosen, on_step=tell[0], on_still=tell[1])
    make = COUNTERFACTUALS[method].load()
    changed: Tensor = make(work, options=chosen, on_step=tell[0])
    if method == "guided" and outcome is None:
        return changed, work.x
    steady = any(one.name == "variety" for one in fields(chosen))
    alone = replace(chosen, variety=0.0) if steady else chosen
    return changed, make(still, options=alone, on_step=tell[1])
