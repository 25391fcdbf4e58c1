"""The least change of an image that turns a reader's verdict: the min-max objective on the image itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from synthesis.editing import Edit
from synthesis.errors import SynthesisError
from synthesis.stepping import OnSamplerStep, SamplerStep

TOLERANCE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Options:
    """weight: lambda, what the outcome counts against likeness. rounds: of the minimisation, each some
    L-BFGS steps. reach: lambda is doubled, at most `doublings` times, until the reader is that sure of
    the outcome; None leaves it. confined: only the edit's region may change.
    """

    weight: float = 16.0
    rounds: int = 8
    inner: int = 5
    reach: float | None = 0.9
    doublings: int = 8
    confined: bool = True


def guided(edit: Edit, *, options: Options | None = None, on_step: OnSamplerStep | None = None) -> Tensor:
    """argmin over x' of lambda l_o(f(x'), y') + |x - x'|^2 / 2, each item for itself [B, C, ...].

    math.md section 6 (Wachter et al., Harvard JOLT 2018;31:841), lambda raised until the outcome is
    reached: the "max" of the objective. lambda = 0 returns `edit.x` itself. For l_o = (y' - w.x')^2 / 2
    it is x' = x + lambda w (y' - w.x) / (1 + lambda |w|^2). One report per round; the rounds that a
    reached outcome saves are reported as done. Raises SynthesisError without a reader.
    """
    options = options or Options()
    if options.weight == 0:
        return edit.x
    if edit.outcome is None:
        raise SynthesisError(
            "This method follows a reader's verdict on the liver's texture, and none is given for this "
            "change. Choose another method, or change the severity."
        )
    total = options.rounds * (1 + (options.doublings if options.reach is not None else 0))
    x, weight, done = edit.x, options.weight, 0
    pending = torch.ones(len(x), dtype=torch.bool, device=x.device)
    while True:
        for _ in range(options.rounds):
            x = _lowered(edit, x, weight, pending, options)
            done += 1
            if on_step is not None:
                on_step(SamplerStep(done, total, 1.0, x, x))
        if options.reach is None or done >= total:
            return x
        pending = edit.outcome.probability(x) < options.reach
        if not bool(pending.any()):
            if on_step is not None:
                on_step(SamplerStep(total, total, 1.0, x, x))
            return x
        weight *= 2


def _lowered(edit: Edit, x: Tensor, weight: float, pending: Tensor, options: Options) -> Tensor:
    """x after some L-BFGS steps (Liu & Nocedal 1989) down the objective; items not pending stay."""
    found = x.clone()
    for index in torch.nonzero(pending).flatten().tolist():
        found[index : index + 1] = _item(edit, x, index, weight, options)
    return found


def _item(edit: Edit, x: Tensor, index: int, weight: float, options: Options) -> Tensor:
    item = slice(index, index + 1)
    outcome, origin = edit.outcome, edit.x[item]
    if outcome is None:
        raise ValueError("outcome: expected a reader, got none.")
    free = (edit.region[item] >= 0.5) if options.confined else torch.ones_like(edit.region[item])
    with torch.enable_grad():
        move = (x[item] - origin).detach().clone().requires_grad_(True)
        optimiser = torch.optim.LBFGS(
            [move],
            max_iter=options.inner,
            tolerance_grad=TOLERANCE,
            tolerance_change=TOLERANCE**2,
            line_search_fn="strong_wolfe",
        )

        def objective() -> Tensor:
            optimiser.zero_grad()
            change = free * move
            value = weight * outcome.loss(origin + change, index) + change.square().sum() / 2
            torch.autograd.backward(value)
            return value

        optimiser.step(objective)  # type: ignore[no-untyped-call]
    return origin + free * move.detach()
