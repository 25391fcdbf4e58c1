"""Table of contents: every method's name, label and address. Nothing heavy is imported to read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One method: its `name` in requests, its `label` on screens, its `address` "module:attribute".

    `steps` is the only number of steps that a sampler takes; None leaves it to the request.
    """

    name: str
    label: str
    address: str
    steps: int | None = None

    def load(self) -> Any:
        """The function or class at the address; this is where its module is first imported."""
        module, attribute = self.address.split(":")
        return getattr(import_module(module), attribute)

    def load_options(self) -> Any:
        """The `Options` dataclass that stands beside the method."""
        return import_module(self.address.split(":")[0]).Options


def _shelf(*entries: Entry) -> Mapping[str, Entry]:
    return MappingProxyType({entry.name: entry for entry in entries})


SAMPLERS = _shelf(
    Entry("euler", "Euler (first order)", "synthesis.samplers.euler:euler"),
    Entry(
        "shortcut",
        "Shortcut (learned long steps; for models that were trained for them)",
        "synthesis.samplers.shortcut:shortcut",
    ),
    Entry("heun", "Heun (second order, two calls per step)", "synthesis.samplers.heun:heun"),
    Entry("rft", "RFT (Tweedie-corrected rectified flow)", "synthesis.samplers.rft:rft"),
    Entry(
        "victr_literal",
        "ViCTr as printed (not exact: loses diversity)",
        "synthesis.samplers.victr_literal:victr_literal",
    ),
    Entry("ddim", "DDIM (for networks that predict noise)", "synthesis.samplers.ddim:ddim"),
    Entry("dpmpp", "DPM-Solver++ (multistep, from diffusers)", "synthesis.samplers.dpmpp:dpmpp"),
    Entry("unipc", "UniPC (multistep, from diffusers)", "synthesis.samplers.unipc:unipc"),
    Entry(
        "one_step",
        "One step (the average image: no variety)",
        "synthesis.samplers.one_step:one_step",
        steps=1,
    ),
    Entry(
        "one_step_literal",
        "ViCTr's one step as printed (not an image: the average minus the noise)",
        "synthesis.samplers.one_step:one_step_literal",
        steps=1,
    ),
)

BACKBONES = _shelf(
    Entry("unet", "Small conditional U-Net on pixels", "synthesis.backbones.unet:UNet"),
    Entry(
        "stable_diffusion",
        "Stable Diffusion 1.x or 2.x",
        "synthesis.backbones.stable_diffusion:StableDiffusion",
    ),
    Entry("sdxl", "Stable Diffusion XL", "synthesis.backbones.sdxl:StableDiffusionXL"),
    Entry("sd3", "Stable Diffusion 3", "synthesis.backbones.sd3:StableDiffusion3"),
    Entry("pixart", "PixArt-alpha", "synthesis.backbones.pixart:PixArt"),
    Entry("flux", "Flux.1", "synthesis.backbones.flux:Flux"),
)

COUNTERFACTUALS = _shelf(
    Entry(
        "flow_inversion",
        "Back to the noise and forth again (keeps the anatomy)",
        "synthesis.counterfactuals.flow_inversion:flow_inversion",
    ),
    Entry(
        "guided",
        "The least change that turns the severity reader's verdict",
        "synthesis.counterfactuals.guided:guided",
    ),
    Entry(
        "pix2pix_zero",
        "Along the words of the change, with the layout held",
        "synthesis.counterfactuals.pix2pix_zero:pix2pix_zero",
    ),
    Entry(
        "instruct_pix2pix",
        "Drawn anew by a model that is shown the image (trained on pairs)",
        "synthesis.counterfactuals.instruct_pix2pix:instruct_pix2pix",
    ),
)

METRICS = _shelf(
    Entry(
        "fid", "FID: distance of feature statistics, lower is closer", "synthesis.metrics.fid:fid_estimate"
    ),
    Entry("kid", "KID: unbiased distance of features, lower is closer", "synthesis.metrics.kid:kid"),
    Entry("mfid", "MFID: FID on medical features, with the network's name", "synthesis.metrics.mfid:mfid"),
    Entry(
        "radiomics",
        "Radiomics distance: texture features, needs no network, lower is closer",
        "synthesis.metrics.radiomics:radiomics_distance",
    ),
    Entry(
        "manifold",
        "Precision, recall, density, coverage: real enough, varied enough",
        "synthesis.metrics.manifold:manifold",
    ),
    Entry("psnr", "PSNR: signal to error in dB, higher is closer", "synthesis.metrics.psnr:psnr"),
    Entry("ssim", "SSIM: structural similarity, 1 is equal", "synthesis.metrics.ssim:ssim"),
    Entry(
        "ms_ssim",
        "MS-SSIM: structural similarity at five scales, 1 is equal",
        "synthesis.metrics.ssim:ms_ssim",
    ),
    Entry(
        "lpips",
        "LPIPS: learned likeness, where installed, lower is closer",
        "synthesis.metrics.perceptual:Lpips",
    ),
    Entry("dice", "Dice: overlap of masks, 1 is equal", "synthesis.metrics.dice:dice"),
    Entry("hd95", "HD95: distance of outlines in mm, lower is closer", "synthesis.metrics.hausdorff:hd95"),
    Entry(
        "nearest",
        "Nearest training case, and whether it is closer than it should be",
        "synthesis.metrics.nearest:NearestIndex",
    ),
)
