"""What a recipe may say under `objective`: one dataclass for each of training/objectives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from synthesis.variance_preserving import NoiseSchedule
from training.fisher import SELECTIONS

WITHOUT_TERMS = ("shortcut", "region_contrast", "epsilon", "instruct_pix2pix")  # weight_l2, weight_ssim


@dataclass(frozen=True, kw_only=True)
class FlowSettings:
    """The flow objective: how times are drawn, which regions weigh more, stage 1's terms (flow_path.py)."""

    name: str = "flow"
    time_mean: float = 0.2  # of logit(t)
    time_std: float = 1.2
    time_uniform: float = 0.1  # share of times drawn evenly from 0..1 instead
    time_start: float = 0.0  # share of times that are exactly 0, where every sampler begins
    region_weights: Mapping[int, float] = field(default_factory=lambda: {6: 2.0, 17: 3.0})
    weight_l2: float = 0.0  # w_2, of the squared error of the expected image
    weight_ssim: float = 0.0  # w_ssim, of 1 - SSIM of the expected image
    data_range: float = 2.0  # of the network's scale, for SSIM
    loss_on: str = "velocity"  # or "native": what the network predicts itself, which weighs times differently

    def __post_init__(self) -> None:
        if self.loss_on not in ("velocity", "native"):
            raise ValueError(f'loss_on: expected "velocity" or "native", got {self.loss_on!r}')
        if min(self.weight_l2, self.weight_ssim) < 0:
            raise ValueError("the weights of the terms must not be negative")
        if not self.data_range > 0:
            raise ValueError(f"data_range: expected a number above 0, got {self.data_range}")
        if (self.weight_l2 or self.weight_ssim) and self.name in WITHOUT_TERMS:
            raise ValueError(f"weight_l2 and weight_ssim: {self.name} has no such terms")


@dataclass(frozen=True, kw_only=True)
class ShortcutSettings(FlowSettings):
    """The shortcut objective: how the time axis is cut and how much of a batch learns long steps."""

    name: str = "shortcut"
    segments: int = 8  # finest steps from t = 0 to 1, a power of two
    shift: float = 0.35  # of their grid (synthesis.checkpoints.shifted_grid)
    flow_share: float = 0.5  # share of each batch that learns the velocity itself
    from_origin: bool = False  # the velocity is that of `init_from`, frozen, instead of learned from data
    coarse: float = 0.0  # extra weight of the error's means over cells of 4 x 4 pixels
    balanced: bool = False  # divide each item's error by its own size; only sound with from_origin

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.segments < 1 or self.segments & (self.segments - 1):
            raise ValueError(f"segments: expected a power of two, got {self.segments}")
        if not 0 < self.flow_share < 1:
            raise ValueError(f"flow_share: expected a share between 0 and 1, got {self.flow_share}")
        if self.balanced and not self.from_origin:
            raise ValueError("balanced: expected from_origin, as targets with noise would be biased")


@dataclass(frozen=True, kw_only=True)
class RegionContrastSettings(FlowSettings):
    """The region-contrastive objective: how far and how hard answers are driven apart inside lesions."""

    name: str = "region_contrast"
    power: int = 2  # of the flow's error; 1 as in MAISI-v2's code
    delta: float = 2.0  # mean distance inside a lesion beyond which nothing is gained
    weight: float = 0.01  # lambda in the first half of the run
    weight_late: float = 0.001  # and in the second
    background: str = "paper"  # "paper": |G_o - G_p|; "released": |G_p - (x_1 - n)|
    on: str = "velocity"  # or "image": distances between posterior means
    dilate: int = 3  # side of the square a lesion is grown by before the rest is background

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.background not in ("paper", "released") or self.on not in ("velocity", "image"):
            raise ValueError(f"background and on: unknown choice {self.background!r}, {self.on!r}")
        if self.power not in (1, 2) or self.dilate % 2 == 0:
            raise ValueError("power: expected 1 or 2, dilate: expected an odd number")


@dataclass(frozen=True, kw_only=True)
class EwcSettings(FlowSettings):
    """Elastic weight consolidation: how firmly the weights of `init_from` are held."""

    name: str = "ewc"
    fisher: str  # a file of training.fisher
    strength: float = 1.0  # lambda
    selection: str = ""  # or "unfreeze_top", "freeze_top": which tensors train, by their rank
    share: float = 0.5  # of the tensors, that a selection unfreezes or freezes
    from_origin: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.strength >= 0:
            raise ValueError(f"strength: expected a number of at least 0, got {self.strength}")
        if self.selection not in ("", *SELECTIONS) or not 0 <= self.share <= 1:
            raise ValueError(f"selection and share: unknown choice {self.selection!r}, {self.share}")


@dataclass(frozen=True, kw_only=True)
class ConsistencySettings(FlowSettings):
    """Stage 2: which activations an adapted network keeps, and how much its terms weigh beside the flow."""

    name: str = "consistency"
    layers: tuple[str, ...] = ()  # modules whose outputs are compared, by the end of their names
    weight_consistency: float = 1.0
    weight_temporal: float = 0.1
    weight_spatial: float = 0.5
    from_origin: bool = False  # without an adapter: keep those of `init_from`, frozen

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight_consistency and not self.layers:
            raise ValueError("layers: expected at least one for weight_consistency, got none")
        if min(self.weight_consistency, self.weight_temporal, self.weight_spatial) < 0:
            raise ValueError("the weights of the terms must not be negative")


@dataclass(frozen=True, kw_only=True)
class EpsilonSettings(FlowSettings):
    """Plain diffusion: the noise schedule; times are its training steps, evenly drawn."""

    name: str = "epsilon"
    beta_start: float = 0.00085  # Stable Diffusion's
    beta_end: float = 0.012
    kind: str = "scaled_linear"
    training_steps: int = 1000

    @property
    def schedule(self) -> NoiseSchedule:
        """alpha_bar of every training step."""
        return NoiseSchedule.of(
            beta_start=self.beta_start, beta_end=self.beta_end, kind=self.kind, steps=self.training_steps
        )


@dataclass(frozen=True, kw_only=True)
class InstructPix2PixSettings(FlowSettings):
    """The objective of pairs: how often the network is not told the condition, or not shown the image.

    dropout: p; the condition is left out for a share 2 p, the image for 2 p, both at once for p of them.
    late: s, by which late times weigh less, w(t) = (1 - t)^2 / ((1 - t)^2 + s^2). An image that is shown
    tells the noise up to an error that grows as 1 / (1 - t); 0 weighs all times alike.
    """

    name: str = "instruct_pix2pix"
    dropout: float = 0.05
    late: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.dropout <= 1 / 3:
            raise ValueError(f"dropout: expected 0 to 1/3, got {self.dropout}")


@dataclass(frozen=True, kw_only=True)
class PriorSettings(FlowSettings):
    """Prior preservation: how much what the network drew before counts, and how that was drawn.

    Once, before the first step, the network of `init_from` draws `prior_images` itself, of what is asked
    for in its own words (for a network with prompts: the recipe's, without the token), and the run's
    folder keeps them.
    """

    weight_prior: float = 1.0
    prior_images: int = 200
    prior_steps: int = 50  # of DDIM, which is Euler's method on a rectified flow
    prior_guidance: float = 1.0  # above 1 the images would have another law than the network's own

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weight_prior < 0 or min(self.prior_images, self.prior_steps) < 1:
            raise ValueError("weight_prior, prior_images, prior_steps: expected 0, 1 and 1 or more")


@dataclass(frozen=True, kw_only=True)
class DreamBoothSettings(PriorSettings):
    """DreamBooth: all of the network, or an adapter, learns what one word stands for."""

    name: str = "dreambooth"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.weight_prior:
            raise ValueError("weight_prior: expected above 0; without it the objective is flow")


@dataclass(frozen=True, kw_only=True)
class TextualInversionSettings(FlowSettings):
    """Textual Inversion: nothing trains but the embedding of a new word."""

    name: str = "textual_inversion"


@dataclass(frozen=True, kw_only=True)
class CustomDiffusionSettings(PriorSettings):
    """Custom Diffusion: the embedding of a new word, and what the image reads of words.

    variant: of the attention to words "crossattn_kv" trains keys and values, "crossattn" queries and
    outputs too.
    """

    name: str = "custom_diffusion"
    variant: str = "crossattn_kv"
    weight_prior: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variant not in ("crossattn_kv", "crossattn"):
            raise ValueError(f"variant: expected crossattn_kv or crossattn, got {self.variant!r}")


OBJECTIVE_SETTINGS: Mapping[str, type[FlowSettings]] = {
    "flow": FlowSettings,
    "shortcut": ShortcutSettings,
    "region_contrast": RegionContrastSettings,
    "ewc": EwcSettings,
    "consistency": ConsistencySettings,
    "epsilon": EpsilonSettings,
    "instruct_pix2pix": InstructPix2PixSettings,
    "textual_inversion": TextualInversionSettings,
    "dreambooth": DreamBoothSettings,
    "custom_diffusion": CustomDiffusionSettings,
}
