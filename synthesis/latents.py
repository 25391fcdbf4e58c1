"""What the networks on latents share: an autoencoder, text encoders, mask control, and two conventions.

A network is put together from components that carry diffusers' names, so that its weights are called
"<component>.<diffusers name>": unet or transformer, vae, text_encoder[_2, _3], controlnet. To these come
parts of our own: ordinal, and whatever a family needs to see the mask.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthesis.components import (
    ENCODERS,
    FLOW,
    LatentOptions,
    NoiseOptions,
    built,
    config_of,
    execution_device,
    widened,
)
from synthesis.control.ordinal import OrdinalEmbedding
from synthesis.control.text import Prompts, TextCondition
from synthesis.errors import SynthesisError
from synthesis.prompted import PromptedNetwork
from synthesis.variance_preserving import NoiseSchedule, scale_like, velocity_from_prediction


class LatentNetwork(PromptedNetwork):
    """A velocity of latents: `predict` in the family's own convention, everything around it here.

    The text encoders and the autoencoder always stay in evaluation mode.
    """

    in_latents = True
    trunk: ClassVar[str]  # the component that is the network proper: "unet" or "transformer"
    classes: ClassVar[Mapping[str, Any]]  # every component a family may have, by name
    token_lengths: ClassVar[
        Mapping[str, int]
    ]  # tokenizer -> how many tokens its prompts are cut or padded to
    options: LatentOptions

    def __init__(self, options: LatentOptions) -> None:
        super().__init__()
        self.options = options
        unknown = sorted(set(options.components) - set(self.classes))
        missing = sorted({self.trunk, "vae"} - set(options.components))
        if unknown or missing:
            raise ValueError(
                f"components: expected {', '.join(self.classes)}; "
                f"unknown {', '.join(unknown) or 'none'}, missing {', '.join(missing) or 'none'}."
            )
        for name, kind in self.classes.items():
            if name in options.components:
                self.add_module(name, built(kind, options.components[name]))
        taken = int(self._trunk.config.in_channels)
        wanted = self.trunk_channels * (2 if self.takes_image else 1)
        if taken != wanted:
            raise ValueError(
                f"components: the {self.trunk} takes {taken} channels where {wanted} are the "
                "latents'; networks that take more, such as a picture to be filled in, are not run here."
            )
        self.ordinal = OrdinalEmbedding(self.token_width)
        self._texts: dict[str, str] = {}
        self._encoded: dict[str, Prompts] = {}

    @property
    @abstractmethod
    def token_width(self) -> int:
        """Width D of the encoded prompt's tokens."""

    @abstractmethod
    def predict(self, x: Tensor, step: Tensor, told: TextCondition, tokens: Tensor) -> Tensor:
        """The network's own answer at its own state x [B, C, h, w] and timestep [B]; tokens with severity."""

    @abstractmethod
    def fresh_control(self) -> dict[str, nn.Module]:
        """New components by which the painted planes enter and which change nothing yet."""

    # Images and latents.

    @property
    def factor(self) -> int:
        """Pixels to a side of one latent."""
        return 2 ** (len(self.vae_config["block_out_channels"]) - 1)

    @cached_property
    def vae_config(self) -> Mapping[str, Any]:
        """The autoencoder's whole configuration."""
        return dict(self._vae.config)

    def state_shape(self, rows: int, columns: int) -> tuple[int, int, int]:
        step = self.factor * self.patch
        if rows % step or columns % step:
            raise SynthesisError(
                f"This model draws images whose sides are multiples of {step} pixels, not {rows} x {columns}."
            )
        return (int(self.vae_config["latent_channels"]), rows // self.factor, columns // self.factor)

    @property
    def trunk_channels(self) -> int:
        """Channels of a latent as the network proper takes it."""
        return int(self.vae_config["latent_channels"])

    @property
    def patch(self) -> int:
        """Latents to a side of what the network takes as one."""
        return int(self.options.components[self.trunk].get("patch_size", 1))

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Grey is shown in every channel of the autoencoder; its latents are shifted and scaled."""
        shown = images.expand(-1, int(self.vae_config["in_channels"]), -1, -1)
        law = self._in_own_type(lambda vae, x: vae.encode(x).latent_dist, shown)
        shift, factor = self._scaling(law.mean)
        return (law.mean.float() - shift) * factor, law.std.float() * factor

    def decode(self, x_1: Tensor) -> Tensor:
        """The mean over the channels of the autoencoder's picture."""
        shift, factor = self._scaling(x_1)
        picture: Tensor = self._in_own_type(
            lambda vae, z: vae.decode(z, return_dict=False)[0], x_1.float() / factor + shift
        )
        return picture.float().mean(1, keepdim=True)

    def _scaling(self, like: Tensor) -> tuple[Tensor | float, Tensor | float]:
        """Shift and factor: state = (latent - shift) * factor, per channel where the config says so."""
        config = self.vae_config
        factor = float(config.get("scaling_factor") or 1.0)
        if config.get("latents_mean") is None or config.get("latents_std") is None:
            return float(config.get("shift_factor") or 0.0), factor
        mean, std = (
            torch.tensor(config[name], device=like.device).reshape(1, -1, 1, 1)
            for name in ("latents_mean", "latents_std")
        )
        return mean, factor / std

    def _in_own_type(self, call: Any, x: Tensor) -> Any:
        """call(vae, x) in the autoencoder's type, or in float32 where 16 bits would overflow in it.

        Where gradients are taken it stays in float32, for the way back reads its weights once more.
        """
        vae = self._vae
        stored: torch.dtype = vae.dtype
        widen = stored == torch.float16 and bool(self.vae_config.get("force_upcast"))
        if widen:
            vae.to(torch.float32)
        try:
            with torch.autocast(x.device.type, enabled=False):
                return call(vae, x.to(execution_device(vae), vae.dtype))
        finally:
            if widen and not torch.is_grad_enabled():
                vae.to(stored)

    @property
    def device(self) -> torch.device:
        return execution_device(self._trunk)

    @property
    def dtype(self) -> torch.dtype:
        found: torch.dtype = self._trunk.dtype
        return found

    @property
    def _vae(self) -> Any:
        return self.get_submodule("vae")

    @property
    def _trunk(self) -> Any:
        return self.get_submodule(self.trunk)

    @property
    def _control(self) -> Any:
        """The ControlNet, or None."""
        return self._modules.get("controlnet")

    @property
    def takes_image(self) -> bool:
        return bool(getattr(self.options, "takes_image", False))

    def shown(self, x_1: Tensor) -> Tensor:
        """The autoencoder's latents without shift and factor, as InstructPix2Pix was trained on them."""
        shift, factor = self._scaling(x_1)
        return x_1 / factor + shift

    # Mask control.

    def pooled_planes(self, planes: Tensor, side: int) -> Tensor:
        """planes [B, P, H, W] at one value for each side x side pixels: the highest, so that none is lost."""
        return F.max_pool2d(planes, side)

    def with_control(self) -> Self:
        """This network with fresh parts by which the painted mask enters; they change nothing yet.

        The components are shared, not copied. Raises ValueError where it has such parts.
        """
        if self.options.control:
            raise ValueError(f"control: the network already takes the mask as {self.options.control}.")
        fresh = {name: part.to(self.device, self.dtype) for name, part in self.fresh_control().items()}
        return self._with(fresh, control="planes")

    def with_image(self) -> Self:
        """This network with a fresh part by which the image to be changed enters; it changes nothing yet.

        The first convolution takes as many channels more, with weights of zero (Brooks et al., CVPR 2023);
        all else is shared, not copied. Raises ValueError where the family has none, or the network has it.
        """
        if not hasattr(self.options, "takes_image") or self.takes_image:
            raise ValueError(f"takes_image: {self.name} cannot be shown an image, or is already.")
        return self._with({self.trunk: widened(self._trunk, 2 * self.trunk_channels)}, takes_image=True)

    def _with(self, fresh: Mapping[str, nn.Module], **options: Any) -> Self:
        """This network with some components in the place of its own, and other options."""
        configs = {name: config_of(part) for name, part in fresh.items() if name in self.classes}
        described = replace(self.options, components={**self.options.components, **configs}, **options)
        with torch.device("meta"):
            made = type(self)(described)
        for name, part in [*self._modules.items(), *fresh.items()]:
            made.add_module(name, part)
        made._texts, made._encoded = dict(self._texts), dict(self._encoded)
        made.use_drift(self.drift)
        made.use_prompts(self.prompts)
        return made.train(self.training)

    # Called as every network is.

    def forward(self, x_t: Tensor, t: Tensor, *condition: Tensor, source: Tensor | None = None) -> Tensor:
        """condition: the tensors of a `TextCondition`, in their order."""
        if len(condition) != len(TextCondition._fields):
            raise ValueError(
                f"condition: expected {', '.join(TextCondition._fields)}, got {len(condition)} tensors; "
                "this network knows the velocity alone, no spans."
            )
        told = TextCondition(*condition)
        tokens = told.tokens + self.ordinal(told.level)[:, None].to(told.tokens.dtype)
        if source is None:
            return self.velocity(x_t.float(), t.float().expand(x_t.shape[0]), told, tokens)
        if not self.takes_image or source.shape != x_t.shape:
            raise ValueError(
                f"source: expected {tuple(x_t.shape) if self.takes_image else 'none for this network'}, "
                f"got {tuple(source.shape)}."
            )
        return self.velocity(x_t.float(), t.float().expand(x_t.shape[0]), told, tokens, source.float())

    @abstractmethod
    def velocity(
        self, x_t: Tensor, t: Tensor, told: TextCondition, tokens: Tensor, source: Tensor | None = None
    ) -> Tensor:
        """The velocity [B, C, h, w] float32 at x_t and times [B]; `source` where `takes_image`."""

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for name in ("vae", *ENCODERS):
            if name in self._modules:
                self.get_submodule(name).eval()
        return self

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        self._encoded = {}
        made: Self = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return made

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        self._encoded = {}
        return super().load_state_dict(*args, **kwargs)


class FlowNetwork(LatentNetwork):
    """Trained as a rectified flow: asked at sigma = 1 - t, it answers the noise minus the data, -v."""

    steps_per_sigma: ClassVar[float] = 1000.0  # its timestep over sigma

    def velocity(
        self, x_t: Tensor, t: Tensor, told: TextCondition, tokens: Tensor, source: Tensor | None = None
    ) -> Tensor:
        return -self.predict(x_t.to(self.dtype), self.steps_per_sigma * (1 - t), told, tokens).float()


class NoiseNetwork(LatentNetwork):
    """Trained on a variance-preserving schedule and run as a flow (synthesis/variance_preserving.py)."""

    options: NoiseOptions

    def __init__(self, options: NoiseOptions) -> None:
        super().__init__(options)
        self.schedule = NoiseSchedule.from_config(options.schedule)

    @property
    def start(self) -> float:
        return 0.0 if self.options.prediction == FLOW else self.schedule.start

    @property
    def preserves_variance(self) -> bool:
        return self.options.prediction != FLOW

    def velocity(
        self, x_t: Tensor, t: Tensor, told: TextCondition, tokens: Tensor, source: Tensor | None = None
    ) -> Tensor:
        if self.options.prediction == FLOW:
            return -self.predict(self._beside(x_t, source), 1000.0 * (1 - t), told, tokens).float()
        state = self._beside(x_t / scale_like(t, x_t), source)
        answer = self.predict(state, self.schedule.steps_at(t), told, tokens)
        return velocity_from_prediction(x_t, answer.float(), t, self.options.prediction)

    def _beside(self, state: Tensor, source: Tensor | None) -> Tensor:
        """The state with the channels of the image to be changed, where the network takes them."""
        if self.takes_image:
            state = torch.cat([state, torch.zeros_like(state) if source is None else source], dim=1)
        return state.to(self.dtype)
