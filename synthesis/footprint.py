"""How much memory a model takes on a device, before anything of it is loaded; free of torch.

    need = weights + SLACK * activations,   both in bytes of the type that is computed in

Weights are counted in the file. Activations are the largest sum of tensors that are alive at once, in the
closed forms below: multiples of width times positions, counted on diffusers' own classes (docs/backbones.md
says how, and how far the forms lie above the count). Attention is counted as fused (its scores are never
whole), save for T5, whose bias keeps it from being so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

SLACK = 1.25  # what allocators keep between tensors, and convolutions as room to work in
WHOLE, STAGED, SEQUENTIAL = "whole", "staged", "sequential"
PLANS = (WHOLE, STAGED, SEQUENTIAL)
# What each kind of device can do: its plans, and the bytes of the types that it computes in, preferred first.
# A CPU has nowhere else to put weights; a GPU computes networks from elsewhere in 16 bits.
WAYS: Mapping[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "cpu": ((WHOLE,), (4, 2)),
    "cuda": (PLANS, (2,)),
}
HELD_BACK = 0.1  # of a device's memory, for what is not ours on it
DENOISERS = ("unet", "transformer")
DRAWING = (*DENOISERS, "controlnet")  # needed together, at every step

UNET, UNET_CONTROL = 27, 31  # times channels of the first level, rows and columns of the latent
FLUX, MMDIT = 19, 13  # times width and tokens, image and text
ENCODER = 16  # times width and tokens of a text encoder
T5_SCORES = 3  # times heads and tokens squared
DECODER = 3  # times the channels that enter a level, and its pixels
# What stays alive for the way back when the change of the state is followed through a network once.
PULLED_RESNET, PULLED_ATTENTION = 15.5, 18.3  # times channels and positions of each block of a U-Net
PULLED_LAYER = 12.1  # times width and tokens of each layer of a transformer, and of the way in
PULLED_DECODER = 45.5  # times the channels of the decoder's last level, and pixels
PAINTED = 70  # times pixels: the planes of the condition, with and without guidance, and the way to them
PROMPTS = {"sd3": 256, "pixart": 120, "flux": 512}  # T5's tokens, where the recipe does not say how many
CLIP_TOKENS = 77


@dataclass(frozen=True, kw_only=True)
class Part:
    """One component: its numbers, those of its largest table, and those alive at once while it works.

    pulled: those alive at once while a gradient is followed back through it to what enters it.
    """

    parameters: int
    largest: int
    activations: int
    pulled: int = 0


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """The components of a model, and the numbers of the condition that lies beside the denoiser."""

    parts: Mapping[str, Part]
    told: int = 0

    def need(self, plan: str, itemsize: int) -> int:
        """Bytes on the device. whole: every component stays there; staged: text encoders, denoiser with
        ControlNet and decoder come one after another; sequential: layer by layer."""
        if plan == WHOLE:
            weights = sum(part.parameters for part in self.parts.values())
            return _bytes(weights, max(self._working(stage) for stage in self.stages()), itemsize)
        if plan == STAGED:
            return max(
                _bytes(sum(self.parts[n].parameters for n in stage), self._working(stage), itemsize)
                for stage in self.stages()
            )
        if plan == SEQUENTIAL:
            return max(
                _bytes(max(self.parts[n].largest for n in stage), self._working(stage), itemsize)
                for stage in self.stages()
            )
        raise ValueError(f"plan: expected one of {', '.join(PLANS)}, got {plan}.")

    def need_pulled(self, itemsize: int, *, probes: int) -> int:
        """Bytes on the device, the model as a whole, while `probes` changes at once are followed back through
        denoiser and decoder together, as an uncertainty map does."""
        weights = sum(part.parameters for part in self.parts.values())
        alive = sum(part.pulled for name, part in self.parts.items() if name in (*DENOISERS, "vae"))
        return _bytes(weights, probes * (alive + self.told), itemsize)

    def backwards(self, through: Sequence[str] = DENOISERS) -> Footprint:
        """The same for a use that follows gradients back through these components at every step."""
        parts = {
            name: replace(part, activations=max(part.activations, part.pulled)) if name in through else part
            for name, part in self.parts.items()
        }
        return replace(self, parts=parts)

    def stages(self) -> list[tuple[str, ...]]:
        """The components that are at work at one time, in the order in which they are."""
        drawing = tuple(name for name in self.parts if name in DRAWING)
        others = [(name,) for name in self.parts if name not in (*DRAWING, "vae")]
        return [stage for stage in (*others, drawing, tuple({"vae"} & set(self.parts))) if stage]

    def plan(self, device: str, memory: int) -> tuple[str, int] | None:
        """The best plan, and the bytes of a number in it, on a device ("cpu", "cuda:0") of that size.

        None where not even the last one leaves HELD_BACK of it free.
        """
        plans, itemsizes = WAYS[device.partition(":")[0]]
        for plan in plans:
            for itemsize in itemsizes:
                if self.need(plan, itemsize) <= memory * (1 - HELD_BACK):
                    return plan, itemsize
        return None

    def least(self, device: str) -> int:
        """Bytes that the model takes on such a device at the very least."""
        plans, itemsizes = WAYS[device.partition(":")[0]]
        return min(self.need(plan, itemsize) for plan in plans for itemsize in itemsizes)

    def _working(self, stage: Sequence[str]) -> int:
        drawing = any(name in DENOISERS for name in stage)
        return sum(self.parts[name].activations for name in stage) + (self.told if drawing else 0)


def footprint(recipe: Mapping[str, Any], *, batch: int = 1) -> Footprint | None:
    """The footprint of a recipe's model at its own image size; None where the recipe does not tell."""
    sizes, backbone = recipe.get("components"), recipe.get("backbone")
    image = recipe.get("image")
    if not isinstance(sizes, Mapping) or not isinstance(backbone, Mapping) or not isinstance(image, Mapping):
        return None
    configs = backbone.get("components")
    if not sizes or not isinstance(configs, Mapping):
        return None
    try:
        pixels = int(image["rows"]), int(image["columns"])
        vae = configs["vae"]
        factor = 2 ** (len(vae["block_out_channels"]) - 1)
        latent = pixels[0] // factor, pixels[1] // factor
        text = _text_tokens(recipe, configs)
        parts = {
            str(name): Part(
                parameters=int(size["parameters"]),
                largest=int(size.get("largest", size["parameters"])),
                activations=batch * _activations(str(name), configs.get(name) or {}, latent, pixels, text),
                pulled=batch * _pulled(str(name), configs.get(name) or {}, latent, pixels, text),
            )
            for name, size in sizes.items()
        }
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return None
    return Footprint(parts=parts, told=batch * PAINTED * pixels[0] * pixels[1])


def footprint_of_edit(recipe: Mapping[str, Any], *, method: str, count: int) -> Footprint | None:
    """The same while `count` images are changed in one batch by a method of COUNTERFACTUALS.

    pix2pix_zero follows gradients back through the denoiser, guided through the decoder.
    """
    need = footprint(recipe, batch=count)
    through = {"pix2pix_zero": DENOISERS, "guided": ("vae",)}.get(method)
    return need if need is None or through is None else need.backwards(through)


def in_gigabytes(count: float) -> str:
    """A number of bytes as people say it: "7.4 GB", "380 MB"."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"


def _bytes(weights: int, activations: int, itemsize: int) -> int:
    return int(itemsize * (weights + SLACK * activations))


def _activations(
    name: str, config: Mapping[str, Any], latent: tuple[int, int], pixels: tuple[int, int], text: int
) -> int:
    """Numbers alive at once in one component, for one image."""
    area = latent[0] * latent[1]
    if name == "vae":
        widths = list(config["block_out_channels"])
        entering = [*widths[1:], widths[-1]]  # what a level of the decoder is given, before it narrows
        return DECODER * max(c * pixels[0] * pixels[1] // 4**i for i, c in enumerate(entering))
    if name.startswith("text_encoder"):
        if "d_model" in config:
            scores = T5_SCORES * int(config["num_heads"]) * text**2
            return ENCODER * int(config["d_model"]) * text + scores
        return ENCODER * int(config["hidden_size"]) * int(config.get("max_position_embeddings", CLIP_TOKENS))
    if "block_out_channels" in config:  # a U-Net, or a ControlNet made of its first half
        return (UNET_CONTROL if name == "controlnet" else UNET) * int(config["block_out_channels"][0]) * area
    width = int(config["num_attention_heads"]) * int(config["attention_head_dim"])
    flux = "axes_dims_rope" in config
    patch = 2 if flux else int(config.get("patch_size", 2))
    return (FLUX if flux else MMDIT) * width * (area // patch**2 + text)


def _pulled(
    name: str, config: Mapping[str, Any], latent: tuple[int, int], pixels: tuple[int, int], text: int
) -> int:
    """Numbers alive at once while a gradient goes back through one component, for one image."""
    area = latent[0] * latent[1]
    if name == "vae":
        return round(PULLED_DECODER * int(config["block_out_channels"][0]) * pixels[0] * pixels[1])
    if name not in DENOISERS:
        return 0
    if "block_out_channels" in config:
        return round(_pulled_unet(config, area, text))
    width = int(config["num_attention_heads"]) * int(config["attention_head_dim"])
    layers = int(config.get("num_layers", 0)) + int(config.get("num_single_layers", 0))
    patch = 2 if "axes_dims_rope" in config else int(config.get("patch_size", 2))
    return round(PULLED_LAYER * width * (layers + 1) * (area // patch**2 + text))


def _pulled_unet(config: Mapping[str, Any], area: int, text: int) -> float:
    """Over the levels of a U-Net: its blocks on the way down, one more each on the way up, and the middle."""
    widths = list(config["block_out_channels"])
    kinds = list(
        config.get("down_block_types") or ["CrossAttnDownBlock2D"] * (len(widths) - 1) + ["DownBlock2D"]
    )
    depths = config.get("transformer_layers_per_block", 1)
    blocks = 2 * int(config.get("layers_per_block", 2)) + 1
    total = 0.0
    for level, (width, kind) in enumerate(zip(widths, kinds, strict=True)):
        depth = (depths if isinstance(depths, int) else depths[level]) if "CrossAttn" in kind else 0
        positions = area / 4**level
        total += (
            blocks * width * (PULLED_RESNET * positions + depth * (PULLED_ATTENTION * positions + 2 * text))
        )
    last = depths if isinstance(depths, int) else depths[-1]
    positions = area / 4 ** (len(widths) - 1)
    middle = 2 * PULLED_RESNET * positions + last * (PULLED_ATTENTION * positions + 2 * text)
    return total + widths[-1] * middle


def _text_tokens(recipe: Mapping[str, Any], configs: Mapping[str, Any]) -> int:
    """The longest prompt that T5 reads; CLIP's where there is none."""
    if not any("d_model" in (config or {}) for config in configs.values()):
        return CLIP_TOKENS
    said = recipe.get("prompt_tokens")
    return int(said) if said else PROMPTS.get(str(recipe["backbone"].get("name")), max(PROMPTS.values()))
