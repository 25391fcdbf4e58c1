"""Severity as a place on a scale: silent while fresh, ordered once it has learned."""

import pytest
import torch

from synthesis.control.ordinal import HIGHEST, OrdinalEmbedding

NAN = float("nan")


def test_fresh_it_adds_nothing():
    added = OrdinalEmbedding(12)(torch.tensor([0.0, 1.3, 3.0, NAN]))
    assert added.shape == (4, 12)
    assert added.abs().max() == 0


def test_unstated_adds_nothing_also_after_training():
    torch.manual_seed(0)
    embedding = OrdinalEmbedding(12)
    torch.nn.init.normal_(embedding.leave.weight)
    torch.nn.init.normal_(embedding.leave.bias)
    added = embedding(torch.tensor([NAN, 0.0, 1.0]))
    assert added[0].abs().max() == 0
    assert (added[1] - added[2]).abs().max() > 0.01


def test_it_keeps_the_type_of_its_weights_and_has_a_gradient_beside_an_unstated_level():
    embedding = OrdinalEmbedding(12).to(torch.bfloat16)
    torch.nn.init.normal_(embedding.leave.weight)
    added = embedding(torch.tensor([NAN, 2.0]))
    assert added.dtype == torch.bfloat16
    added.float().sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in embedding.parameters())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_was_learned_at_the_grades_alone_holds_between_them(seed):
    """A line and a bend over the four grades: rising all the way, and close to them between."""
    torch.manual_seed(seed)
    embedding = OrdinalEmbedding(2)
    optimiser = torch.optim.Adam(embedding.parameters(), lr=3e-3)

    def wanted(level):
        return torch.stack([level, level**2 / HIGHEST], dim=1)

    grades = torch.arange(HIGHEST + 1).float()
    for _ in range(800):
        loss = (embedding(grades) - wanted(grades)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    between = torch.linspace(0, HIGHEST, 61)
    found = embedding(between).detach()
    assert (embedding(grades) - wanted(grades)).abs().max() < 0.01
    assert (found.diff(dim=0) > -1e-3).all()
    assert (found - wanted(between)).abs().max() < 0.2  # of 3
