"""What "the same image with one thing changed" asks for and brings back; free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from synthesis.drift_size import SCHEMES
from synthesis.phantoms.labels import LABEL_SET, LESION, LIVER
from synthesis.request import SEED_LIMIT, Condition, Image, Labels, PlainJson

Mask = npt.NDArray[np.bool_]
Soft = npt.NDArray[np.float32]

INSTRUCTED_SAMPLERS = ("rft", "euler", "heun", "ddim", "dpmpp", "unipc")  # that `instruct_pix2pix` draws with
NEGATIVE_MOST = 300  # characters of a prompt to lead away from
FIRST_ORDER_STEPS = 20  # of `pix2pix_zero`, whose steps are DDIM's
BACKWARDS = ("guided", "pix2pix_zero")  # methods that take gradients through the network
ROUND_TRIPS = ("flow_inversion", "pix2pix_zero")  # methods that go back to the noise and forth again
GRADED = ("flow_inversion", "pix2pix_zero", "instruct_pix2pix")  # methods that have a strength
LOOKING = ("stable_diffusion", "sdxl")  # backbones whose pixels look at the words of a prompt
BELONGS, EVERYWHERE, PAINTED = "belongs", "everywhere", "painted"  # places of a change besides its labels
WAYS_UNDONE = 3  # runs of a method whose change is undone: with the change, without one, and back
EDGE_PIXELS = 0.6  # standard deviation by which the edge of a region is softened


@dataclass(frozen=True, kw_only=True)
class TextureChange:
    """How a severity is changed in one kind of image where nothing else is asked for.

    strength: how far back, for texture is decided late. none, more, less: the contrast where no cirrhosis
    is to be left (the least error to the truth that is still read as none), where there is to be more (as
    much texture as a reader expects), and less. beside: the contrast of severity where other things change
    with it, and the way goes back to the noise itself.
    """

    strength: float
    none: float
    more: float
    less: float
    beside: float


# Chosen on phantoms of the validation split: docs/evidence/counterfactuals.md.
CT_TEXTURE = TextureChange(strength=0.4, none=2.0, more=1.4, less=1.2, beside=1.25)
MR_TEXTURE = TextureChange(strength=0.7, none=1.5, more=1.4, less=1.3, beside=1.25)
TEXTURE_CHANGES = {"CT": CT_TEXTURE, "T1": MR_TEXTURE, "T2": MR_TEXTURE}


@dataclass(frozen=True, kw_only=True)
class EditOptions(PlainJson):
    """How to make the change.

    method: a name in COUNTERFACTUALS.
    strength: 0 returns the image as it is; 1 makes the change from the very noise on; None leaves it to
        the change: texture is decided late, everything else early.
    steps: of the way back to the noise and of the way forth again (`flow_inversion`).
    contrast: weight of what the new condition says against the old one; 1 asks for an image as the
        model draws them, 2 for the best guess where something is taken away; None leaves it to the
        direction of the change. Beside other changes it is the weight of the new severity alone.
    where: the place that the change acts in: BELONGS, where the two conditions or masks differ; EVERYWHERE;
        the name of one of the model's labels; PAINTED, where `labels_after`, which then only marks the
        place, differs from the mask. None: as `confined` says.
    confined: the change acts only where it belongs, else everywhere; where `where` is said, that decides.
    blend: outside that region the image itself is put back after every step.
    variety: share of the noise inside the region that is drawn anew, 0 to 1; what differs between
        seeds then shows what the image leaves open.
    drift, drift_scheme: latent drifting of the way forth (synthesis/drift.py).
    weight: how much the outcome counts against likeness (`guided`); 0 returns the image as it is.
    reach: `guided` doubles the weight until the reader is that sure of the outcome; None: never.
    undo: the change is also taken back, to show what is lost on the way there and back.
    guidance: how firmly the new condition is followed (`instruct_pix2pix`, `pix2pix_zero`); None leaves it
        to the model or method.
    image_guidance, sampler: of `instruct_pix2pix`: how firmly the image is kept, and a name of
        INSTRUCTED_SAMPLERS; None leaves each to the model.
    attention, regularisation, negative: of `pix2pix_zero`: how firmly the network is held to look where it
        looked, how white the noise is kept on the way back (0: the exact way back instead), and words that
        guidance leads away from; None leaves each to the method.

    A strength of None is 1 for both of these methods.
    """

    method: str = "flow_inversion"
    strength: float | None = None
    steps: int = 8
    contrast: float | None = None
    confined: bool = True
    blend: bool = False
    variety: float = 0.0
    drift: float = 0.0
    drift_scheme: str = "noise"
    weight: float = 16.0
    reach: float | None = 0.9
    undo: bool = False
    guidance: float | None = None
    image_guidance: float | None = None
    sampler: str | None = None
    attention: float | None = None
    regularisation: float | None = None
    negative: str | None = None
    where: str | None = None

    OPTIONAL: ClassVar[frozenset[str]] = frozenset(
        {"guidance", "image_guidance", "sampler", "attention", "regularisation", "negative", "where"}
    )

    @property
    def place(self) -> str:
        """Where the change acts: BELONGS, EVERYWHERE, PAINTED or the name of a label."""
        return self.where or (BELONGS if self.confined else EVERYWHERE)

    def __post_init__(self) -> None:
        if self.where is not None:
            object.__setattr__(self, "confined", self.where != EVERYWHERE)
        for name, low, high in (
            ("steps", 1, 200),
            ("variety", 0, 1),
            ("drift", -5, 5),
            ("weight", 0, 1e6),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name}: expected {low} to {high:g}, got {value}.")
        if self.strength is not None and not 0 <= self.strength <= 1:
            raise ValueError(f"strength: expected 0 to 1, got {self.strength}.")
        if self.contrast is not None and not 0 <= self.contrast <= 10:
            raise ValueError(f"contrast: expected 0 to 10, got {self.contrast}.")
        for name in ("guidance", "image_guidance", "attention", "regularisation"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 100:
                raise ValueError(f"{name}: expected 0 to 100, got {value}.")
        if self.negative is not None and len(self.negative) > NEGATIVE_MOST:
            raise ValueError(f"negative: expected at most {NEGATIVE_MOST} characters.")
        if self.drift_scheme not in SCHEMES:
            raise ValueError(
                f"drift_scheme: expected one of {', '.join(SCHEMES)}, got {self.drift_scheme!r}."
            )
        if self.sampler is not None and self.sampler not in INSTRUCTED_SAMPLERS:
            raise ValueError(
                f"sampler: expected one of {', '.join(INSTRUCTED_SAMPLERS)}, got {self.sampler!r}."
            )
        if self.reach is not None and not 0 < self.reach < 1:
            raise ValueError(f"reach: expected a share between 0 and 1, got {self.reach}.")


@dataclass(frozen=True, kw_only=True)
class CounterfactualRequest:
    """One image, what it shows, and what it shall show instead.

    image: [rows, columns] in HU or signal, on the model's grid; labels: its mask; labels_after: another
    mask where a lesion is added or taken away, None for the same; where `options.where` is PAINTED it marks
    the place of the change and the mask stays. `count` edits with the seeds `seed`,
    `seed` + 1, ... differ only where `options.variety` is above 0. Raises ValueError where shapes do not
    fit or the two conditions name different kinds of image.
    """

    image: Image
    labels: Labels
    spacing_mm: tuple[float, float]
    before: Condition
    after: Condition
    labels_after: Labels | None = None
    options: EditOptions = field(default_factory=EditOptions)
    seed: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if self.image.ndim != 2 or not np.isfinite(self.image).all():
            raise ValueError(
                f"image: expected finite numbers [rows, columns], got {self.image.ndim} axes or NaN."
            )
        for name in ("labels", "labels_after"):
            one = getattr(self, name)
            if one is not None and (one.shape != self.image.shape or one.dtype != np.uint8):
                raise ValueError(f"{name}: expected uint8 {self.image.shape}, got {one.dtype} {one.shape}.")
        if self.before.modality != self.after.modality:
            raise ValueError(
                f"after: expected the modality {self.before.modality}, got {self.after.modality}."
            )
        if self.count < 1 or not 0 <= self.seed < SEED_LIMIT:
            raise ValueError(f"expected count >= 1 and seed 0 to {SEED_LIMIT - 1}, got {self.count}.")

    @property
    def target_labels(self) -> Labels:
        """The mask of the image to come."""
        if self.labels_after is None or self.options.place == PAINTED:
            return self.labels
        return self.labels_after

    @property
    def seeds(self) -> list[int]:
        """The seed of each edit."""
        return [(self.seed + index) % SEED_LIMIT for index in range(self.count)]


@dataclass(frozen=True, kw_only=True)
class CounterfactualResult:
    """The edited images and how far they are from the image they come from.

    images [count, rows, columns]: HU or signal, rounded to the integers that DICOM stores.
    difference: images minus the original. spread [rows, columns]: standard deviation over the seeds,
    None for a single one. region: where the change was asked for. numbers: one dict per image (see
    `synthesis.metrics.minimality`), with "undone" and "unchanged" where options.undo is set; undone
    [count, ...]: the images with the change taken back; unchanged: what the method makes with none.
    """

    images: Image
    difference: Image
    spread: Image | None
    region: Mask
    numbers: list[dict[str, Any]]
    recipe: dict[str, Any]
    pixel_sha256: list[str]
    seconds: float
    undone: Image | None = None
    unchanged: Image | None = None


def edited_region(labels: Labels, labels_after: Labels, before: Condition, after: Condition) -> Mask:
    """Where the two masks and conditions say different things, [rows, columns].

    Severity concerns the liver, steatosis the liver and its lesions, age, sex and a diagnosis the whole
    image; a change of the mask concerns its own pixels and their neighbours, which share in them.
    """
    if (before.age, before.sex, before.diagnosis) != (after.age, after.sex, after.diagnosis):
        return np.ones(labels.shape, bool)
    region = ndimage.binary_dilation(labels != labels_after)
    if level_of(before) != level_of(after):
        region |= (labels == LIVER) | (labels_after == LIVER)
    if before.steatosis != after.steatosis:
        region |= np.isin(labels, (LIVER, LESION)) | np.isin(labels_after, (LIVER, LESION))
    return np.asarray(region)


def softened(region: Mask) -> Soft:
    """The region as a weight from 0 to 1 whose edge runs over a pixel or two."""
    if region.all():
        return np.ones(region.shape, np.float32)
    return ndimage.gaussian_filter(region.astype(np.float32), EDGE_PIXELS)


def strength_and_contrast(
    labels: Labels, labels_after: Labels, before: Condition, after: Condition
) -> tuple[float, float]:
    """What is used where neither is asked for.

    Severity alone is texture, which is decided late: part of the way back will do, and the contrast follows
    what becomes of it, and how much noise lies over it in this kind of image. Whatever moves mean values is
    decided early, and a contrast would move them too far.
    """
    was, will_be = level_of(before), level_of(after)
    change = TEXTURE_CHANGES[after.modality]
    several = changes_more_than_severity(labels, labels_after, before, after)
    if was == will_be or (several and (was is None or will_be is None)):
        return 1.0, 1.0
    if several:
        return 1.0, change.beside
    if was is None or will_be is None:
        return change.strength, 1.0
    if will_be > was:
        return change.strength, change.more
    return change.strength, change.none if will_be == 0 else change.less


def changes_more_than_severity(
    labels: Labels, labels_after: Labels, before: Condition, after: Condition
) -> bool:
    """Whether anything but the severity changes."""
    return but_severity(before, after) != before or not np.array_equal(labels, labels_after)


def but_severity(before: Condition, after: Condition) -> Condition:
    """`after` with the severity of `before`."""
    return replace(after, severity=before.severity, severity_level=before.severity_level)


def takes_image(recipe: Mapping[str, Any]) -> bool:
    """Whether a model of this recipe was trained to change images (`instruct_pix2pix`) and only for that."""
    return bool(recipe.get("backbone", {}).get("takes_image"))


def methods_of(recipe: Mapping[str, Any]) -> tuple[str, ...]:
    """The names in COUNTERFACTUALS that a model of this recipe offers, the one to begin with first.

    instruct_pix2pix, and that alone, where the model was trained to change images; else flow_inversion
    always, pix2pix_zero where pixels look at the words of a prompt, guided where the labels are those that
    the severity reader knows and the model is told of severity: one that is told patients in words is not.
    """
    if takes_image(recipe):
        return ("instruct_pix2pix",)
    found = ["flow_inversion"]
    if recipe.get("backbone", {}).get("name") in LOOKING:
        found.append("pix2pix_zero")
    names = {int(label["value"]): str(label["name"]) for label in recipe.get("label_set", ())}
    if names == {label.value: label.name for label in LABEL_SET} and not recipe.get("prompts"):
        found.append("guided")
    return tuple(found)


def steps_of(method: str) -> int:
    """How many steps a method takes where nothing is said."""
    return FIRST_ORDER_STEPS if method == "pix2pix_zero" else EditOptions().steps


def ways_of(options: EditOptions) -> int:
    """How often a method is run: with the change; where it is undone, without one and back as well."""
    return WAYS_UNDONE if options.undo else 1


def passes_of(options: EditOptions) -> tuple[int, ...]:
    """How often each run that `ways_of` counts goes through the method's steps.

    Round trips do so on both ways; the run of `flow_inversion` without a change begins where the other's way
    back has ended.
    """
    each = 2 if options.method in ROUND_TRIPS else 1
    alone = 1 if options.method == "flow_inversion" else each
    return (each, alone, each)[: ways_of(options)]


def level_of(condition: Condition) -> float | None:
    """The cirrhosis from 0 to 3; None where it is not stated."""
    return None if condition.severity is None else condition.level
