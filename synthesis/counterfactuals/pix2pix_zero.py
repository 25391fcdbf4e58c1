"""Along a direction between captions, while the network keeps looking where it looked: pix2pix-zero.

Parmar et al., "Zero-shot Image-to-Image Translation", SIGGRAPH 2023, for networks whose pixels look at the
words of a prompt (cross-attention): Stable Diffusion and Stable Diffusion XL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from synthesis.attention import attention_distance, cross_attentions, watched
from synthesis.control.text import Prompts, TextCondition
from synthesis.drift import Drift, drifted_velocity
from synthesis.editing import Edit
from synthesis.errors import SynthesisError
from synthesis.guidance import guided
from synthesis.inversion import euler_step, inverted_path
from synthesis.latents import LatentNetwork
from synthesis.paths import noise_mean, posterior_mean
from synthesis.round_trip import (
    Path,
    RoundTripOptions,
    both_ways,
    first_state,
    kept_outside,
    pulled,
    report,
    turning_time,
    weight_of,
)
from synthesis.stepping import OnSamplerStep, SamplerStep, Velocity, evaluate
from synthesis.variance_preserving import scale
from synthesis.white_noise import whitened

TOLERANCE = 1e-4  # of each step back, root mean square on the latents' scale
ROUNDS = 5  # of the descent towards white noise in each step back


@dataclass(frozen=True, kw_only=True)
class Options(RoundTripOptions):
    """steps: DDIM's. contrast: how many times the direction is gone. attention: lambda_xa of the guidance by
    attention, 0 for none. guidance: the weight w of v_negative + w (v - v_negative), and negative, the
    prompt that it leads away from; 1 for none. regularisation: lambda of the two terms that keep the
    inverted noise white; 0 inverts exactly instead, so that without a direction and guidance the image
    comes back.

    The authors' own: 50 steps, attention 0.1, guidance 7.5, regularisation 20, nothing confined.
    """

    strength: float = 1.0
    tolerance: float = TOLERANCE
    attention: float = 0.1
    guidance: float = 1.0
    negative: str = ""
    regularisation: float = 0.0


def pix2pix_zero(
    edit: Edit, *, options: Options | None = None, on_step: OnSamplerStep | None = None
) -> Tensor:
    """The changed states [B, C, h, w]; `edit.x` itself at strength 0.

    The way back under what the image shows takes half of the reports. On the way forth the image is drawn
    once as it was and once changed, step by step side by side, so that the maps of one step alone are held.
    Raises SynthesisError for a network that it cannot look into.
    """
    options = options or Options()
    begin = turning_time(edit, options)
    if begin >= 1:
        return edit.x
    told = _Told(edit, options)
    times = [begin + (1 - begin) * k / options.steps for k in range(options.steps)] + [1.0]
    on_back, on_forth = both_ways(on_step, options.steps)
    path = _way_back(edit, told, times, options, on_back)
    return _way_forth(edit, told, path, times, options, on_forth)


def direction(network: LatentNetwork, before: Sequence[str], after: Sequence[str]) -> Prompts:
    """The mean of the encoded captions after less that before: tokens [1, L, D], pooled [1, P], float32.

    Section 3.2. Exactly 0 where the captions are the same. The mask of the tokens is not a direction: [1, 0].
    """
    was, will_be = network.read(before), network.read(after)
    tokens = will_be.tokens.float().mean(0) - was.tokens.float().mean(0)
    pooled = will_be.pooled.float().mean(0) - was.pooled.float().mean(0)
    return Prompts(tokens[None], tokens.new_zeros(1, 0), pooled[None])


class _Told:
    """The network's trunk, and its velocities under what the image shows and after the change.

    before_alone, after_alone: without guidance.
    """

    def __init__(self, edit: Edit, options: Options) -> None:
        network = edit.network
        if not isinstance(network, LatentNetwork) or len(edit.told) != len(TextCondition._fields):
            raise SynthesisError(
                "This method follows the words that a model is told, and this model is told none. "
                "Choose another method."
            )
        self.network = network
        self.trunk: nn.Module = network.get_submodule(network.trunk)
        if not cross_attentions(self.trunk):
            raise SynthesisError(
                "This method follows how a model looks at the words of its prompt, and this model mixes "
                "words and image in another way. Choose another method."
            )
        if options.regularisation and getattr(network.options, "prediction", "") == "sample":
            raise SynthesisError(
                "This model predicts the image and not the noise, so that its noise cannot be kept white on "
                "the way back. Set that option to 0."
            )
        before, after = TextCondition(*edit.told), _moved(network, edit, options.contrast)
        self._shown = before
        self.before_alone, self.after_alone = self._velocity(before), self._velocity(after)
        self.before, self.after = (
            self._led(velocity, told, options)
            for velocity, told in ((self.before_alone, before), (self.after_alone, after))
        )

    def looking(self, maps: list[Tensor], options: Options) -> Velocity:
        """`before`, which leaves the maps of each call in a list."""

        def velocity(x: Tensor, t: Tensor) -> Tensor:
            with watched(self.trunk) as found:
                v = self.before_alone(x, t)
            maps.extend(found)
            return v

        return self._led(velocity, self._shown, options)

    def _led(self, velocity: Velocity, told: TextCondition, options: Options) -> Velocity:
        """The velocity with guidance away from what the negative prompt says of the same mask."""
        if options.guidance == 1:
            return velocity
        negative = self._velocity(_negative(self.network, told, options.negative))
        return guided(velocity, negative, options.guidance)

    def _velocity(self, told: TextCondition) -> Velocity:
        """v(x, t) under a condition, through which gradients go where they are taken."""
        device, dtype = self.network.device, self.network.dtype
        tensors = tuple(told.to(device, dtype))

        def velocity(x: Tensor, t: Tensor) -> Tensor:
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                v: Tensor = self.network(x, t.expand(len(x)), *tensors)
            return v.float()

        return velocity


def _moved(network: LatentNetwork, edit: Edit, contrast: float) -> TextCondition:
    """What the image shows, moved `contrast` times along the direction; mask and painted grades as after.

    The severity between two grades lives in the space of the tokens too (synthesis/control/ordinal.py),
    and its difference is a part of the direction.
    """
    before, after = TextCondition(*edit.told), TextCondition(*edit.told_after)
    if len(edit.said) != len(edit.x) or len(edit.said_after) != len(edit.x):
        raise ValueError(f"said: expected captions for {len(edit.x)} images, got {len(edit.said)}.")
    found = [direction(network, *pair) for pair in zip(edit.said, edit.said_after, strict=True)]
    with torch.no_grad():
        graded = network.ordinal(after.level).float() - network.ordinal(before.level).float()
    tokens = torch.cat([one.tokens for one in found]) + graded[:, None].to(found[0].tokens.device)
    pooled = torch.cat([one.pooled for one in found])
    return after._replace(
        level=before.level,
        tokens=(before.tokens.float() + contrast * tokens.to(before.tokens.device)).to(before.tokens.dtype),
        token_mask=before.token_mask,
        pooled=(before.pooled.float() + contrast * pooled.to(before.pooled.device)).to(before.pooled.dtype),
    )


def _negative(network: LatentNetwork, told: TextCondition, prompt: str) -> TextCondition:
    """What guidance leads away from: nothing stated, or a prompt."""
    without = network.unconditional(told)
    if not prompt:
        return without
    read = network.read([prompt] * len(told.level))
    return without._replace(tokens=read.tokens, token_mask=read.token_mask, pooled=read.pooled)


@torch.no_grad()
def _way_back(
    edit: Edit, told: _Told, times: list[float], options: Options, on_step: OnSamplerStep | None
) -> Path:
    """The image's own states [(t, x_t), ...] up to (1, x), without guidance."""
    if options.regularisation == 0:
        return inverted_path(
            told.before_alone, edit.x, times, tolerance=options.tolerance, step=euler_step, on_step=on_step
        )
    path = [(1.0, edit.x)]
    for index, (a, b) in enumerate(list(pairwise(times))[::-1], start=1):
        x = path[-1][1]
        n = noise_mean(x, evaluate(told.before_alone, x, b), b)
        v = (x - whitened(n, options.regularisation, ROUNDS)) / b
        path.append((a, x - (b - a) * v))
        if on_step is not None:
            on_step(SamplerStep(index, options.steps, a, path[-1][1], posterior_mean(x, v, b)))
    return path[::-1]


@torch.no_grad()
def _way_forth(
    edit: Edit,
    told: _Told,
    path: Path,
    times: list[float],
    options: Options,
    on_step: OnSamplerStep | None,
) -> Tensor:
    """From the first state of the way back to the changed image, beside the image as it was."""
    weight = weight_of(edit, options)
    x = first_state(told.before_alone, edit, path, options)
    reference: Tensor = x
    under = _Drifted(options.drift, len(path) - 1)
    maps: list[Tensor] = []
    was, now = under(told.looking(maps, options)), under(pulled(told.before, told.after, weight))
    changed_alone = under(told.after_alone)
    for (a, _), (b, own) in pairwise(path):
        if options.attention:
            maps.clear()
            reference = reference + (b - a) * evaluate(was, reference, a)
            x = x - options.attention * weight * attention_pull(told.network, changed_alone, x, a, maps)
        v = evaluate(now, x, a)
        estimate = posterior_mean(x, v, a)
        x = kept_outside(x + (b - a) * v, own, b, edit, options)
        report(on_step, times, b, x, estimate)
    return x


@dataclass(frozen=True)
class _Drifted:
    """A velocity under the drift; that of the network itself is taken out of its velocity already."""

    drift: Drift
    steps: int

    def __call__(self, velocity: Velocity) -> Velocity:
        return drifted_velocity(velocity, self.drift, is_trained_with_drift=False, steps=self.steps)


def attention_pull(
    network: LatentNetwork, velocity: Velocity, x: Tensor, t: float, reference: list[Tensor]
) -> Tensor:
    """What a step by attention of weight 1 takes from x: grad sum |M - M_ref|^2 in the network's own states.

    A network trained on a variance-preserving schedule sees y = x / r, r^2 = t^2 + (1 - t)^2. The authors
    step in y; with grad_y = r grad_x and x = r y that is r^2 grad_x.
    """
    trunk: nn.Module = network.get_submodule(network.trunk)
    with torch.enable_grad(), watched(trunk) as maps:
        leaf = x.detach().requires_grad_(True)
        evaluate(velocity, leaf, t)
        (found,) = torch.autograd.grad(attention_distance(maps, reference).sum(), leaf)
    return found * scale(t) ** 2 if network.preserves_variance else found
