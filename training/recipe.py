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
from training.data import MaskDropout
from training.objective_settings import OBJECTIVE_SETTINGS as OBJECTIVE_SETTINGS
from training.objective_settings import ConsistencySettings as ConsistencySettings
from training.objective_settings import CustomDiffusionSettings as CustomDiffusionSettings
from training.objective_settings import DreamBoothSettings as DreamBoothSettings
from training.objective_settings import EpsilonSettings as EpsilonSettings
from training.objective_settings import EwcSettings as EwcSettings
from training.objective_settings import FlowSettings as FlowSettings
from training.objective_settings import InstructPix2PixSettings as InstructPix2PixSettings
from training.objective_settings import PriorSettings as PriorSettings
from training.objective_settings import RegionContrastSettings as RegionContrastSettings
from training.objective_settings import ShortcutSettings as ShortcutSettings
from training.objective_settings import TextualInversionSettings as TextualInversionSettings

RECIPES = Path(__file__).parent / "recipes"
TRAINS = ("all", "controlnet", "adapter")
LATENTS = ("mean", "sample")
DTYPES = ("float32", "bfloat16", "float16")
STATE = Path("var") / "training"  # data and checkpoints of training runs, relative to the repository


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
        self._check_words()
        if self.is_paired and self.family == "unet" and not self.backbone.takes_image:
            raise ValueError("backbone: instruct_pix2pix shows the network an image, set takes_image")
        if self.is_paired and (self.family not in ("unet", "stable_diffusion") or self.trained != "all"):
            raise ValueError("objective: instruct_pix2pix trains all of a unet or a stable_diffusion")

    def _check_words(self) -> None:
        """Refuse what a method that learns a word cannot do."""
        learns = isinstance(self.objective, TextualInversionSettings | CustomDiffusionSettings)
        new = bool(self.prompts and self.prompts.token_from)
        if learns and (self.family != "stable_diffusion" or self.train or self.adapter or not new):
            raise ValueError(
                f"objective: {self.objective.name} learns a new word of Stable Diffusion's: expected that "
                "backbone, prompts with token and token_from, neither train nor adapter"
            )
        if new and not learns:
            raise ValueError(
                f"token_from: the objective {self.objective.name} learns no new word; leave it out, and let "
                "token be a rare word that the text encoder knows"
            )
        dreams = isinstance(self.objective, DreamBoothSettings)
        if dreams and not self.init_from:
            raise ValueError("init_from: expected the network whose own images dreambooth preserves")
        if dreams and self.family != "unet" and not (self.prompts and self.prompts.token):
            raise ValueError("prompts: dreambooth expects a token, the word that is to stand for the new")

    @property
    def is_paired(self) -> bool:
        """Whether it learns from pairs of images (training/pairs.py) instead of single ones."""
        return self.objective.name == "instruct_pix2pix"

    @property
    def trained(self) -> str:
        """What trains: one of TRAINS, "tokens", "crossattn_kv" or "crossattn"."""
        if isinstance(self.objective, TextualInversionSettings):
            return "tokens"
        if isinstance(self.objective, CustomDiffusionSettings):
            return self.objective.variant
        return self.train or ("adapter" if self.adapter else "all")

    @property
    def preserves_prior(self) -> bool:
        """Whether it also learns from what the network of `init_from` drew itself (training/prior.py)."""
        return isinstance(self.objective, PriorSettings) and self.objective.weight_prior > 0

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
