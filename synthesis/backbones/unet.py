"""A small conditional U-Net on patchified pixels: image and painted mask in, velocity out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthesis.networks import Network

LATEST = 0.05  # of 1 - t: later than that the state itself says what the image is


@dataclass(frozen=True, kw_only=True)
class Options:
    """Shape of the network; a checkpoint's recipe carries these values under `backbone`."""

    planes: int = 30  # painted condition planes, see synthesis/control/painting.py
    attributes: int = 7  # entries of the attribute vector
    patch: int = 2  # PixelUnshuffle factor
    plane_embedding: int = 10  # channels a pixel's condition is squeezed to before patchifying
    channels: tuple[int, ...] = (64, 96, 160, 224)  # per level, finest first
    blocks: tuple[int, ...] = (1, 2, 2, 2)  # residual blocks per level and direction
    attention: tuple[int, ...] = (2, 3)  # levels with self-attention
    head_width: int = 32  # channels per attention head
    groups: int = 8  # GroupNorm groups
    embedding: int = 256  # width of the time and attribute embedding
    spans: bool = False  # also takes the length of a step, and answers with the average velocity over it
    takes_image: bool = False  # is shown the image that is to be changed, a plane beside the state

    def __post_init__(self) -> None:
        if len(self.channels) != len(self.blocks):
            raise ValueError(f"channels has {len(self.channels)} levels, blocks has {len(self.blocks)}")
        for width in self.channels:
            if width % self.groups:
                raise ValueError(f"channels must be divisible by groups={self.groups}, got {width}")


def time_features(t: Tensor, width: int) -> Tensor:
    """Sines and cosines of t [B] in 0..1 at octave-spaced frequencies up to 1000: [B, width]."""
    half = width // 2
    frequencies = torch.exp(torch.linspace(0.0, math.log(1000.0), half, device=t.device))
    angles = t.float()[:, None] * frequencies[None, :]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def start_at_zero(layer: nn.Conv2d | nn.Linear) -> None:
    """Make a layer answer zero, so that a fresh branch adds nothing."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class ResidualBlock(nn.Module):
    """Norm, SiLU, conv twice; the embedding scales and shifts between (FiLM)."""

    def __init__(self, width_in: int, width_out: int, embedding: int, groups: int) -> None:
        super().__init__()
        self.norm_in = nn.GroupNorm(groups, width_in)
        self.conv_in = nn.Conv2d(width_in, width_out, 3, padding=1)
        self.film = nn.Linear(embedding, 2 * width_out)
        self.norm_out = nn.GroupNorm(groups, width_out)
        self.conv_out = nn.Conv2d(width_out, width_out, 3, padding=1)
        self.skip = nn.Identity() if width_in == width_out else nn.Conv2d(width_in, width_out, 1)
        start_at_zero(self.conv_out)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv_in(F.silu(self.norm_in(x)))  # [B, out, h, w]
        scale, shift = self.film(embedding)[:, :, None, None].chunk(2, dim=1)
        h = self.norm_out(h) * (1 + scale) + shift
        out: Tensor = self.skip(x) + self.conv_out(F.silu(h))
        return out


class SelfAttention(nn.Module):
    """Multi-head attention over all positions of one level."""

    def __init__(self, width: int, head_width: int, groups: int) -> None:
        super().__init__()
        self.heads = max(1, width // head_width)
        self.norm = nn.GroupNorm(groups, width)
        self.qkv = nn.Conv2d(width, 3 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        start_at_zero(self.out)

    def forward(self, x: Tensor) -> Tensor:
        batch, width, rows, columns = x.shape
        qkv = self.qkv(self.norm(x)).reshape(batch, 3, self.heads, width // self.heads, rows * columns)
        q, k, v = qkv.transpose(-1, -2).unbind(1)  # each [B, heads, positions, head width]
        mixed = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = x + self.out(mixed.transpose(-1, -2).reshape(batch, width, rows, columns))
        return out


class Level(nn.Module):
    """The blocks of one resolution, in one direction; attention, where it is asked for, after the last."""

    def __init__(self, widths_in: list[int], width: int, options: Options, attend: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            ResidualBlock(w, width, options.embedding, options.groups) for w in widths_in
        )
        last = len(widths_in) - 1
        self.attention = nn.ModuleList(
            SelfAttention(width, options.head_width, options.groups)
            if attend and index == last
            else nn.Identity()
            for index in range(len(widths_in))
        )


class UNet(Network):
    """velocity = UNet(x_t, t, planes, attributes), the convention of math.md section 0.

    x_t: [B, 1, H, W], normalised; t: [B] or one number for all, in 0..1;
    planes: [B, planes, H, W] painted condition;
    attributes: [B, attributes]. H and W must be divisible by patch * 2**(levels - 1).

    With options.spans it is the average velocity u(x_t, t, t + span) = (x_{t+span} - x_t) / span of
    math.md section 7, `span` like t; a span of 0, which is what None means, is the velocity. The
    span's embedding starts at zero: fresh, or on the weights of a velocity, u is the velocity.

    With options.takes_image, `source` [B, 1, H, W] is the image I to be changed, on the network's scale.
    Its part of the first convolution stands apart and starts at zero (Brooks et al., CVPR 2023), and so
    does a second answer, which says of every pixel how much of I is kept, g, and what is added to it, d:

        E[x_1 | x_t, c, I] = (1 - g) (x_t + (1 - t) v) + g I + d,

    v being the answer that there was. Fresh, or on the weights of a network without it, every answer is bit
    for bit that network's; so it stays where no image is shown, of which an image of zeros is one.
    """

    name = "unet"
    options: Options

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options
        patch_channels = options.patch**2
        self.squeeze = nn.Conv2d(options.planes, options.plane_embedding, 1)
        self.embed_time = nn.Sequential(
            nn.Linear(options.embedding, options.embedding),
            nn.SiLU(),
            nn.Linear(options.embedding, options.embedding),
        )
        self.embed_attributes = nn.Sequential(
            nn.Linear(options.attributes, options.embedding),
            nn.SiLU(),
            nn.Linear(options.embedding, options.embedding),
        )
        if options.spans:
            self.embed_span = nn.Sequential(
                nn.Linear(options.embedding, options.embedding),
                nn.SiLU(),
                nn.Linear(options.embedding, options.embedding),
            )
            start_at_zero(cast("nn.Linear", self.embed_span[2]))
        self.conv_in = nn.Conv2d(
            patch_channels * (1 + options.plane_embedding), options.channels[0], 3, padding=1
        )

        if options.takes_image:
            self._see(patch_channels, options.channels[0])

        self.down = nn.ModuleList()
        self.shrink = nn.ModuleList()
        skips = [options.channels[0]]
        width = options.channels[0]
        last = len(options.channels) - 1
        for level, (level_width, count) in enumerate(zip(options.channels, options.blocks, strict=True)):
            widths_in = [width] + [level_width] * (count - 1)
            self.down.append(Level(widths_in, level_width, options, level in options.attention))
            skips += [level_width] * count
            width = level_width
            if level < last:
                self.shrink.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
                skips.append(width)

        self.middle = Level([width, width], width, options, last in options.attention)

        self.up = nn.ModuleList()
        self.grow = nn.ModuleList()
        for level in reversed(range(len(options.channels))):
            level_width = options.channels[level]
            widths_in = []
            for _ in range(options.blocks[level] + 1):
                widths_in.append(width + skips.pop())
                width = level_width
            self.up.append(Level(widths_in, level_width, options, level in options.attention))
            if level > 0:
                self.grow.append(nn.Conv2d(width, width, 3, padding=1))

        self.norm_out = nn.GroupNorm(options.groups, width)
        self.conv_out = nn.Conv2d(width, patch_channels, 3, padding=1)
        start_at_zero(self.conv_out)

    @property
    def spans(self) -> bool:
        return self.options.spans

    def _see(self, patch_channels: int, width: int) -> None:
        """What an image to be changed enters by, and what says how much of it is kept."""
        self.image_in = nn.Conv2d(patch_channels, width, 3, padding=1, bias=False)
        self.image_out = nn.Conv2d(width, 2 * patch_channels, 3, padding=1)
        start_at_zero(self.image_in)
        start_at_zero(self.image_out)

    @property
    def takes_image(self) -> bool:
        return self.options.takes_image

    def forward(  # type: ignore[override]
        self,
        x_t: Tensor,
        t: Tensor,
        planes: Tensor,
        attributes: Tensor,
        span: Tensor | None = None,
        *,
        source: Tensor | None = None,
    ) -> Tensor:
        self._check(x_t, planes, source)
        embedding = F.silu(self._embed(t.expand(x_t.shape[0]), attributes, span))  # [B, embedding]
        h = F.pixel_unshuffle(torch.cat([x_t, self.squeeze(planes).to(x_t.dtype)], dim=1), self.options.patch)
        h = self.conv_in(h.contiguous(memory_format=torch.channels_last))  # [B, C0, H/p, W/p]
        if source is not None:
            shown = F.pixel_unshuffle(source.to(x_t.dtype), self.options.patch)
            h = h + self.image_in(shown.contiguous(memory_format=torch.channels_last))
        skips = [h]
        for level, down in enumerate(cast("list[Level]", list(self.down))):
            for block, attend in zip(down.blocks, down.attention, strict=True):
                h = attend(block(h, embedding))
                skips.append(h)
            if level < len(self.shrink):
                h = self.shrink[level](h)
                skips.append(h)
        for block, attend in zip(self.middle.blocks, self.middle.attention, strict=True):
            h = attend(block(h, embedding))
        for level, up in enumerate(cast("list[Level]", list(self.up))):
            for block, attend in zip(up.blocks, up.attention, strict=True):
                h = attend(block(torch.cat([h, skips.pop()], dim=1), embedding))
            if level < len(self.grow):
                h = self.grow[level](F.interpolate(h, scale_factor=2.0, mode="nearest"))
        h = F.silu(self.norm_out(h))
        v = F.pixel_shuffle(self.conv_out(h), self.options.patch).float()  # [B, 1, H, W]
        return v if source is None else self._kept(v, h, x_t, t, source)

    def _kept(self, v: Tensor, h: Tensor, x_t: Tensor, t: Tensor, source: Tensor) -> Tensor:
        """The velocity of the image of which a part is kept; 1 - t no smaller than LATEST in the divisor."""
        kept = F.pixel_shuffle(self.image_out(h), self.options.patch).float()
        seen = (source != 0).flatten(1).any(1).reshape(-1, 1, 1, 1)
        share, added = (seen * kept).chunk(2, dim=1)  # [B, 1, H, W] each
        left = (1 - t.float()).clamp(min=LATEST).expand(x_t.shape[0]).reshape(-1, 1, 1, 1)
        return (1 - share) * v + (share * (source.float() - x_t.float()) + added) / left

    def _embed(self, t: Tensor, attributes: Tensor, span: Tensor | None) -> Tensor:
        width = self.options.embedding
        embedding: Tensor = self.embed_time(time_features(t, width)) + self.embed_attributes(attributes)
        if self.options.spans:
            span = torch.zeros_like(t) if span is None else span.expand(t.shape[0])
            return embedding + cast("Tensor", self.embed_span(time_features(span, width)))
        if span is not None:
            raise ValueError("span: this network knows the velocity alone (options.spans is off)")
        return embedding

    def _check(self, x_t: Tensor, planes: Tensor, source: Tensor | None) -> None:
        step = self.options.patch * 2 ** (len(self.options.channels) - 1)
        if x_t.ndim != 4 or x_t.shape[1] != 1 or x_t.shape[2] % step or x_t.shape[3] % step:
            raise ValueError(
                f"x_t must be [B, 1, H, W] with H, W multiples of {step}, got {tuple(x_t.shape)}"
            )
        if planes.shape[1] != self.options.planes or planes.shape[2:] != x_t.shape[2:]:
            raise ValueError(
                f"planes must be [B, {self.options.planes}, {x_t.shape[2]}, {x_t.shape[3]}], "
                f"got {tuple(planes.shape)}"
            )
        if source is not None and not self.options.takes_image:
            raise ValueError("source: this network is shown no image (options.takes_image is off)")
        if source is not None and source.shape != x_t.shape:
            raise ValueError(f"source must be {tuple(x_t.shape)}, got {tuple(source.shape)}")
