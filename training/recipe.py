"""A training recipe: the YAML of one trained model, checked and typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from synthesis.adapters import ATTENTION, AdapterOptions
from synthesis.backbones.unet import Options
from synthesis.catalog import BACKBONES
from synthesis.control.patient_prompts import PatientPrompts
from synthesis.drift import TrainedDrift
from synthesis.imaging.intensity import Normalisation
from synthesis.variance_preserving import NoiseSchedule
from training.data import MaskDropout
from training.fisher import SELECTIONS

RECIPES = Path(__file__).parent / "recipes"
TRAINS = ("all", "controlnet", "adapter")
LATENTS = ("mean", "sample")
DTYPES = ("float32", "bfloat16", "float16")
STATE = Path("var") / "training"  # data and checkpoints of training runs, relative to the repository


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
        if (self.weight_l2 or self.weight_ssim) and self.name in ("shortcut", "region_contrast", "epsilon"):
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
    """

    name: str = "instruct_pix2pix"
    dropout: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.dropout <= 1 / 3:
            raise ValueError(f"dropout: expected 0 to 1/3, got {self.dropout}")


OBJECTIVE_SETTINGS: Mapping[str, type[FlowSettings]] = {
    "flow": FlowSettings,
    "shortcut": ShortcutSettings,
    "region_contrast": RegionContrastSettings,
    "ewc": EwcSettings,
    "consistency": ConsistencySettings,
    "epsilon": EpsilonSettings,
    "instruct_pix2pix": InstructPix2PixSettings,
}


@dataclass(frozen=True, kw_only=True)
class OptimiserSettings:
    """AdamW; the rate rises over `warmup` steps, stays, and falls to nothing over the last `decay` share."""

    rate: float = 8e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    warmup: int = 150
    decay: float = 0.3
    clip: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything one model's training depends on."""

    name: str
    title: str
    version: str
    seed: int
    steps: int
    batch: int
    phantoms: int
    image: Mapping[str, Any]
    modalities: tuple[str, ...]
    precision: str = "bf16"  # "no", "bf16" or "fp16": accelerate's mixed precision
    refresh_every: int = 200  # steps between looks for new shards
    checkpoint_every: int = 100
    ema_exponent: float = 12.0
    init_from: str = ""  # a saved model whose weights the training starts from
    adapter: AdapterOptions | None = None  # stage 2: train this on the frozen weights of `init_from`
    family: str = "unet"  # the recipe's backbone.name; of any other the network is that of `init_from`
    train: str = ""  # "all", "controlnet" (what lets the mask in) or "adapter"; empty: by `adapter`
    latents: str = "mean"  # or "sample": what is drawn of cached latents (training/latents.py)
    frozen: str = "float32"  # what weights that do not train are held in: "bfloat16", "float16"
    gradient_checkpointing: bool = False  # less memory, a third more time; for networks in latents
    backbone: Options = field(default_factory=Options)
    mask_dropout: MaskDropout = field(default_factory=MaskDropout)
    objective: FlowSettings = field(default_factory=FlowSettings)
    drift: TrainedDrift | None = None  # where the noise lies that it learns from; any objective's option
    prompts: PatientPrompts | None = None  # words for patients, in place of masks and severities
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    extra: Mapping[str, Any] = field(default_factory=dict)  # label set, licence, field: copied into the model

    def __post_init__(self) -> None:
        if self.adapter and not self.init_from:
            raise ValueError("adapter: expected init_from, the saved model that it adapts")
        choices = {"family": tuple(BACKBONES), "train": ("", *TRAINS), "latents": LATENTS, "frozen": DTYPES}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: expected one of {', '.join(known)}, got {getattr(self, name)!r}")
        if self.train and (self.train == "adapter") != (self.adapter is not None):
            raise ValueError(f"train: {self.train} and adapter do not go together")
        if self.family != "unet" and not self.init_from:
            raise ValueError(f"init_from: expected the installed {self.family} that the training starts from")
        if self.frozen != "float32" and self.precision == "no":
            raise ValueError("frozen: with less than float32 expected a precision, bf16 or fp16")
        if self.family == "unet" and self.prompts:
            raise ValueError(
                "prompts: the network on images reads no words; it is told age and sex as numbers"
            )
        if self.family == "unet" and (self.train == "controlnet" or self.gradient_checkpointing):
            raise ValueError("train: controlnet and gradient_checkpointing are for networks in latents")
        if self.family != "unet" and self.objective.name in ("shortcut", "region_contrast", "epsilon"):
            raise ValueError(f"objective: {self.objective.name} is for the network on images, unet")
        if self.is_paired and self.family == "unet" and not self.backbone.takes_image:
            raise ValueError("backbone: instruct_pix2pix shows the network an image, set takes_image")
        if self.is_paired and (self.family not in ("unet", "stable_diffusion") or self.trained != "all"):
            raise ValueError("objective: instruct_pix2pix trains all of a unet or a stable_diffusion")

    @property
    def is_paired(self) -> bool:
        """Whether it learns from pairs of images (training/pairs.py) instead of single ones."""
        return self.objective.name == "instruct_pix2pix"

    @property
    def trained(self) -> str:
        """What trains: one of TRAINS."""
        return self.train or ("adapter" if self.adapter else "all")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of an image."""
        return int(self.image["rows"]), int(self.image["columns"])

    @property
    def data_folder(self) -> Path:
        """Where its phantoms lie unless a command says otherwise."""
        return STATE / self.name / "phantoms"

    @property
    def run_folder(self) -> Path:
        """Where its checkpoints and log lie unless a command says otherwise."""
        return STATE / self.name / "run"

    @property
    def normalisation(self) -> dict[str, Normalisation]:
        """Modality -> intensity map."""
        return {name: Normalisation.from_json(v) for name, v in self.image["normalisation"].items()}


def load_recipe(path: Path | str) -> Recipe:
    """Read a recipe; `path` may also be the bare name of one in training/recipes.

    Raises ValueError that names every key the recipe should not have or lacks.
    """
    path = Path(path)
    if not path.suffix:
        path = RECIPES / f"{path}.yaml"
    return recipe_from(yaml.safe_load(path.read_text(encoding="utf-8")))


def find_model(name: str) -> Path:
    """The folder of a shipped model's name, or the path that was given."""
    return Path(name) if Path(name).exists() else Path("weights") / name


def recipe_from(values: Mapping[str, Any]) -> Recipe:
    """A recipe from plain values, as YAML or JSON gives them."""
    values = dict(values)
    objective = values.get("objective", {}).get("name", "flow")
    if objective not in OBJECTIVE_SETTINGS:
        raise ValueError(f'objective: there is no "{objective}"; known are {", ".join(OBJECTIVE_SETTINGS)}')
    backbone = dict(values.get("backbone", {}))
    values["family"] = str(backbone.pop("name", "unet"))
    if values["family"] == "unet":
        values["backbone"] = backbone
    else:
        values.pop("backbone")
        if backbone:
            raise ValueError(
                f"backbone: of {values['family']} only the name is told, not {', '.join(backbone)}"
            )
        if isinstance(values.get("adapter"), Mapping):
            values["adapter"] = {"targets": ATTENTION, **values["adapter"]}
    parts = {
        "adapter": AdapterOptions,
        "backbone": Options,
        "drift": TrainedDrift,
        "mask_dropout": MaskDropout,
        "objective": OBJECTIVE_SETTINGS[objective],
        "optimiser": OptimiserSettings,
        "prompts": PatientPrompts,
    }
    for name, kind in parts.items():
        if name in values:
            values[name] = _build(kind, values[name], name)
    if "modalities" in values:
        values["modalities"] = tuple(values["modalities"])
    return _build(Recipe, values, "recipe")


def _build(kind: type, values: Mapping[str, Any], where: str) -> Any:
    known = {f.name for f in fields(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"{where} has keys it should not have: {', '.join(unknown)}")
    try:
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    except TypeError as problem:
        raise ValueError(f"{where} is incomplete: {problem}") from problem
