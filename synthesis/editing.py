"""What every counterfactual method is given: an image as a state, what it shows, what it shall show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor

from synthesis.networks import Network
from synthesis.stepping import Generators, OnSamplerStep, SamplerStep, Velocity


class Outcome(Protocol):
    """A reader that can be asked how far an image is from showing y', differentiably."""

    def loss(self, x: Tensor, index: int) -> Tensor:
        """How far the state [1, C, ...] of item `index` is from its outcome: one number, 0 at the best."""
        ...

    def probability(self, x: Tensor) -> Tensor:
        """How sure the reader is of the outcome, [B] in 0..1; without gradient."""
        ...


# The velocity at x and t of a network that is shown an image: the states x_1 of that image, None for none.
Instructed = Callable[[Tensor, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Instructions:
    """A network that is shown the image to be changed (InstructPix2Pix), under three conditions.

    before, after: what the image shows and what it shall show. untold: what neither says. times: the grid
    from the network's start to 1 for a number of steps and a sampler; kappa: what RFT corrects by then.
    """

    before: Instructed
    after: Instructed
    untold: Instructed
    times: Callable[[int, str], list[float]]
    kappa: Callable[[int], float]


@dataclass(frozen=True)
class Edit:
    """A batch of images to be changed.

    x: states at t = 1, [B, C, ...]. before, after: the velocity under what the images show and under
    what they shall show. start: the time where the network's flow begins. region: where before and
    after differ, [B, 1, ...] from 0 to 1, on the grid of the states. outcome: the reader that `guided`
    asks. network, told and told_after, the condition's tensors as it takes them, and said and said_after,
    each image's condition in several wordings: for methods that look inside the network. between: the
    velocity under all of the change but its severity; None where severity alone changes, or not at all.
    """

    x: Tensor
    before: Velocity
    after: Velocity
    region: Tensor
    start: float = 0.0
    outcome: Outcome | None = None
    generator: Generators = None
    network: Network | None = None
    told: tuple[Tensor, ...] = ()
    told_after: tuple[Tensor, ...] = ()
    said: tuple[tuple[str, ...], ...] = ()
    said_after: tuple[tuple[str, ...], ...] = ()
    instructions: Instructions | None = None
    between: Velocity | None = None


def counted(on_step: OnSamplerStep | None, *, done: int, total: int) -> OnSamplerStep | None:
    """The same listener, told of steps as a part of a longer work: `done` before it, `total` in all."""
    if on_step is None:
        return None
    tell = on_step

    def report(progress: SamplerStep) -> None:
        tell(replace(progress, step=done + progress.step, steps=total))

    return report


def unchanged(edit: Edit) -> Edit:
    """The edit that asks for what is there, in the same region."""
    told = edit.instructions and replace(edit.instructions, after=edit.instructions.before)
    return replace(
        edit,
        after=edit.before,
        told_after=edit.told,
        said_after=edit.said,
        instructions=told,
        outcome=None,
        between=None,
    )
