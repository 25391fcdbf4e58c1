"""The min-max objective against its linear-quadratic closed form (math.md section 6)."""

from __future__ import annotations

import pytest
import torch

from synthesis.counterfactuals.guided import Options, guided
from synthesis.editing import Edit
from synthesis.errors import SynthesisError

GENERATOR = torch.Generator().manual_seed(2)
W = torch.randn(1, 5, 5, generator=GENERATOR, dtype=torch.float64)


class Linear:
    """l_o = (y' - w . x)^2 / 2."""

    def __init__(self, wanted):
        self.wanted = wanted

    def loss(self, x, index):
        return (self.wanted - (W * x[0]).sum()) ** 2 / 2

    def probability(self, x):
        return torch.exp(-((self.wanted - (W * x).flatten(1).sum(1)) ** 2))


def still(x, t):
    return torch.zeros_like(x)


def an_edit(wanted=2.0, outcome=True):
    x = torch.randn(3, 1, 5, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    region = torch.ones(3, 1, 5, 5, dtype=torch.float64)
    return Edit(x=x, before=still, after=still, region=region, outcome=Linear(wanted) if outcome else None)


@pytest.mark.parametrize("weight", [0.01, 1.0, 30.0])
def test_the_linear_quadratic_optimum_is_exact(weight):
    edit = an_edit()
    found = guided(edit, options=Options(weight=weight, reach=None))
    gap = 2.0 - (W * edit.x).flatten(1).sum(1)
    exact = edit.x + weight * gap[:, None, None, None] * W / (1 + weight * W.square().sum())
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-8)


def test_no_weight_returns_the_input_itself():
    edit = an_edit()
    assert torch.equal(guided(edit, options=Options(weight=0.0)), edit.x)


def test_the_weight_rises_to_the_least_change_that_reaches_the_outcome():
    edit = an_edit()
    found = guided(edit, options=Options(weight=1e-3, reach=0.9, doublings=20))
    sure = Linear(2.0).probability(found)
    assert bool((sure >= 0.9).all())
    least = (2.0 - (W * edit.x).flatten(1).sum(1)).abs() / W.norm()
    assert bool(((found - edit.x).flatten(1).norm(dim=1) <= least + 1e-9).all())
    idle = guided(edit, options=Options(weight=1e-3, reach=None))
    assert not bool((Linear(2.0).probability(idle) >= 0.9).all())


def test_only_the_region_may_change():
    edit = an_edit()
    edit.region[..., 2:] = 0
    found = guided(edit, options=Options(reach=None))
    assert torch.equal(found[..., 2:], edit.x[..., 2:])
    assert not torch.equal(found[..., :2], edit.x[..., :2])


def test_without_a_reader_it_says_so():
    with pytest.raises(SynthesisError, match="reader's verdict"):
        guided(an_edit(outcome=False))
