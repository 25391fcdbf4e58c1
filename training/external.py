"""Slices of image sets from elsewhere, on a recipe's grid and in its labels, as shards to train on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from synthesis.errors import SynthesisError
from synthesis.imaging.errors import UnreadableFile
from synthesis.imaging.fitting import fit
from synthesis.imaging.labelmaps import UNLABELLED, LabelMap, label_map
from synthesis.imaging.nifti import NiftiFile, opened_nifti
from synthesis.imaging.plane import Plane
from synthesis.imaging.raster import read_raster
from synthesis.imaging.volume import Slice, real_values
from synthesis.phantoms import labels as names
from synthesis.request import MODALITIES
from training.data import DIAGNOSES_FILE, mark_enclosed_air
from training.recipe import Recipe
from training.sources import Source, UnusableSource

LEAST_LABELLED = 0.005  # share of a slice that mapped labels must cover
BRIGHT = 99.5  # percentile of an MR volume that is brought to the top of the recipe's range
REPORT = "report.json"
PART = "part"  # where shards are made
READY = "ready"  # where they lie once all of them are made, until each is in its place
PICTURES = (".png", ".jpg", ".jpeg")

Row = tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8], list[float], str]


def write_external(
    folder: Path, sources: Sequence[Source], recipe: Recipe, *, split: str, shard: int
) -> dict[str, Any]:
    """Write the slices of one split as shards below `folder` and folder/report.json; the report is returned.

    A case that cannot be used costs only itself: the report says why. Raises UnusableSource where nothing
    at all can be used, with the first reason; then nothing is written.
    """
    chosen = [source for source in sources if source.split == split]
    part = folder / PART
    shutil.rmtree(part, ignore_errors=True)
    report: dict[str, Any] = {"split": split, "cases": {}, "slices": 0}
    held: list[Row] = []
    written = 0
    for source in chosen:
        taken, refused = 0, Counter[str]()
        try:
            for row in slices_of(source, recipe, refused):
                held.append(row)
                taken += 1
                if len(held) == shard:
                    write_rows(part, written, held)
                    held, written = [], written + 1
        except (UnusableSource, UnreadableFile, SynthesisError) as error:
            refused[str(error)] += 1
        report["cases"][source.name] = {"patient": source.patient, "slices": taken, "refused": dict(refused)}
        report["slices"] += taken
    if not report["slices"]:
        reasons = [reason for case in report["cases"].values() for reason in case["refused"]]
        raise UnusableSource(
            f"No slice of the {len(chosen)} cases in the split {split} can be used. "
            + (f"The first reason: {reasons[0]}" if reasons else "")
        )
    if held:
        write_rows(part, written, held)
    put_in_place(folder, report)
    return report


def put_in_place(folder: Path, report: Mapping[str, Any]) -> None:
    """Move what lies whole in folder/PART to its place below `folder`, and the report last."""
    (folder / PART / REPORT).write_text(json.dumps(report, indent=1), encoding="utf-8")
    (folder / PART).rename(folder / READY)
    finish(folder)


def finish(folder: Path) -> dict[str, Any] | None:
    """Go on with a move that a kill broke off; returns the report of that set, None where there is none."""
    ready = folder / READY
    if not ready.is_dir():
        return None
    for shard in sorted(ready.glob("**/shard-*")):
        place = folder / shard.relative_to(ready)
        place.parent.mkdir(exist_ok=True)
        shard.rename(place)
    if (ready / REPORT).is_file():
        (ready / REPORT).replace(folder / REPORT)
    shutil.rmtree(ready)
    report: dict[str, Any] = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    return report


Grids = dict[int, tuple[Plane, Plane]]  # index of a slice: the grid it was brought onto, and its own


def slices_of(
    source: Source,
    recipe: Recipe,
    refused: Counter[str],
    *,
    onto: Mapping[int, Plane] | None = None,
    taken: Grids | None = None,
) -> Iterator[Row]:
    """Every slice of a case that fits the recipe: image [H, W], stored labels [H, W], a row of data.COLUMNS
    and the diagnosis. Without a mask all that is known of a slice is that it shows a body.

    onto: the grids that slices shall be brought onto, by their index, in place of one around the body of
    each; taken: is told which slices were used, in their order.
    What does not fit is counted in `refused` by its reason. MR signal has no unit: a volume is scaled so
    that its 99.5th percentile is the top of the recipe's range for that modality.
    Raises UnusableSource where image and mask do not match, no label is known, or the recipe has no words
    for the diagnosis.
    """
    _check_known(source, recipe)
    if source.mask is None:
        yield from _whole_slices(source, recipe, refused)
        return
    geometry = {"image": dict(recipe.image), "field": recipe.extra.get("field", {})}
    with _opened(source) as (slices, masks, labels):
        known = label_map(labels)
        if not known.mapped:
            raise UnusableSource(
                f"None of the mask's labels is known ({', '.join(known.unmapped) or 'it names none'})."
            )
        scale = _scale(slices, recipe, source.modality)
        for index in range(len(slices)):
            mask = np.asarray(masks[index])
            if not _is_labelled(mask, known):
                refused["little or nothing is labelled"] += 1
                continue
            one = slices[index]
            one = Slice(
                array=one.array * np.float32(scale),
                spacing_mm=one.spacing_mm,
                units=one.units,
                index=index,
                position_mm=one.position_mm,
                orientation=one.orientation,
                is_placed=one.is_placed,
            )
            try:
                fitted = fit(
                    mask=mask,
                    names=known,
                    recipe=geometry,
                    source=one,
                    modality="CT" if source.modality == "CT" else "MR",
                    onto=(onto or {}).get(index),
                )
            except SynthesisError as error:
                refused[str(error)] += 1
                continue
            if taken is not None:
                taken[index] = (fitted.plane, fitted.source_plane)
            image = np.zeros(recipe.shape, np.float32) if fitted.image is None else fitted.image
            yield (
                image,
                mark_enclosed_air(fitted.labels),
                _row(source, index, fitted.labels, fitted.spacing_mm),
                source.attributes.diagnosis,
            )


def _check_known(source: Source, recipe: Recipe) -> None:
    """Refuse a case whose modality or diagnosis the recipe does not know."""
    if source.modality not in recipe.modalities:
        raise UnusableSource(
            f"The recipe {recipe.name} knows {', '.join(recipe.modalities)}, not {source.modality}."
        )
    known, said = (recipe.prompts.diagnoses if recipe.prompts else {}), source.attributes.diagnosis
    if known and said and said not in known:
        raise UnusableSource(f"The diagnosis “{said}” is none of the recipe's: {', '.join(known)}.")


def _whole_slices(source: Source, recipe: Recipe, refused: Counter[str]) -> Iterator[Row]:
    """Slices as large as the recipe draws: shrunk or enlarged evenly; what is left over is filled darkly."""
    with _opened_alone(source) as slices:
        scale = _scale(slices, recipe, source.modality)
        for index, one in enumerate(slices):
            array = np.nan_to_num(one.array).astype(np.float32)
            if not np.ptp(array):
                refused["nothing is to be seen"] += 1
                continue
            image, factor = _on_grid(array * np.float32(scale), recipe.shape)
            labels = np.full(recipe.shape, names.BODY, np.uint8)
            spacing = one.spacing_mm or (float("nan"), float("nan"))
            placed = (spacing[0] / factor, spacing[1] / factor)
            yield image, labels, _row(source, index, labels, placed), source.attributes.diagnosis


def _on_grid(array: npt.NDArray[np.float32], shape: tuple[int, int]) -> tuple[npt.NDArray[np.float32], float]:
    """The image in the middle of a grid of that shape, and the factor by which its sides grew."""
    rows, columns = array.shape
    factor = min(shape[0] / rows, shape[1] / columns)
    size = (min(shape[0], round(rows * factor)), min(shape[1], round(columns * factor)))
    shrunk = F.interpolate(
        torch.from_numpy(array)[None, None], size=size, mode="bilinear", antialias=True, align_corners=False
    )[0, 0].numpy()
    whole = np.full(shape, array.min(), np.float32)
    top, left = (shape[0] - size[0]) // 2, (shape[1] - size[1]) // 2
    whole[top : top + size[0], left : left + size[1]] = shrunk
    return whole, factor


def _row(
    source: Source, index: int, labels: npt.NDArray[np.uint8], spacing_mm: tuple[float, float]
) -> list[float]:
    """The columns of training.data.COLUMNS; severity counts for texture and shape alike."""
    number = int.from_bytes(hashlib.sha256(f"{source.name}/{index}".encode()).digest()[:4], "big")
    a = source.attributes
    return [
        float(number),
        float(MODALITIES.index(source.modality)),
        float(a.severity),
        float(a.severity),
        float(a.steatosis),
        float((labels == names.LESION).any()),
        a.age,
        float(a.sex),
        float(spacing_mm[-1]),
    ]


class _Stack(Sequence[Slice]):
    """The slices of an opened NIfTI volume, one at a time."""

    def __init__(self, file: NiftiFile, units: str) -> None:
        self._file, self._units = file, units

    def __len__(self) -> int:
        return len(self._file.voxels)

    def __getitem__(self, index: Any) -> Any:
        geometry = self._file.geometry
        x, y, z = (float(value) for value in geometry.position_of(index))
        return Slice(
            array=real_values(np.asarray(self._file.voxels[index]), self._file.slope, self._file.intercept),
            spacing_mm=geometry.spacing_mm[:2],
            units=self._units,
            index=index,
            position_mm=(x, y, z),
            orientation=geometry.orientation,
            is_placed=geometry.is_known,
        )


@contextmanager
def _opened(source: Source) -> Iterator[tuple[Sequence[Slice], Any, Sequence[Any]]]:
    """Slices, mask [slices, rows, columns] and the mask's labels of a NIfTI pair or a pair of pictures."""
    if source.image.is_dir():
        raise UnusableSource("The image is a folder of DICOM; export the dataset as NIfTI (--form nifti).")
    units = "HU" if source.modality == "CT" else "signal"
    if source.image.suffix.lower() in PICTURES:
        yield _pictures(source, units)
        return
    with opened_nifti(source.image) as image, opened_nifti(_mask_of(source)) as mask:
        if not mask.is_whole:
            raise UnusableSource("The mask's voxels are not whole numbers.")
        if image.voxels.shape != mask.voxels.shape:
            raise UnusableSource(
                f"Image and mask differ in size: {image.voxels.shape} and {mask.voxels.shape}."
            )
        places = [[f.geometry.position_of(i) for i in (0, len(f.voxels) - 1)] for f in (image, mask)]
        if not np.allclose(places[0], places[1], atol=0.5):
            raise UnusableSource("Image and mask lie in different places of the patient.")
        yield _Stack(image, units), mask.voxels, source.labels or mask.label_names


@contextmanager
def _opened_alone(source: Source) -> Iterator[Sequence[Slice]]:
    """Slices of a NIfTI volume or of a picture, without a mask."""
    if source.image.is_dir():
        raise UnusableSource("The image is a folder of DICOM; export the dataset as NIfTI (--form nifti).")
    units = "HU" if source.modality == "CT" else "signal"
    if source.image.suffix.lower() in PICTURES:
        picture = read_raster(source.image)
        if picture.is_colour:
            raise UnusableSource("The image must be in shades of grey.")
        yield [
            Slice(
                array=picture.pixels.astype(np.float32),
                spacing_mm=source.spacing_mm or (float("nan"), float("nan")),
                units=units,
                is_placed=False,
            )
        ]
        return
    with opened_nifti(source.image) as image:
        yield _Stack(image, units)


def _pictures(source: Source, units: str) -> tuple[Sequence[Slice], Any, Sequence[Any]]:
    if source.spacing_mm is None:
        raise UnusableSource(
            "A picture does not say how large its pixels are: give spacing_row_mm and spacing_column_mm."
        )
    image, mask = read_raster(source.image), read_raster(_mask_of(source))
    if image.is_colour or mask.is_colour:
        raise UnusableSource("Image and mask must be in shades of grey.")
    if image.pixels.shape != mask.pixels.shape:
        raise UnusableSource(f"Image and mask differ in size: {image.pixels.shape} and {mask.pixels.shape}.")
    one = Slice(
        array=image.pixels.astype(np.float32), spacing_mm=source.spacing_mm, units=units, is_placed=False
    )
    return [one], mask.pixels[None], source.labels


def _mask_of(source: Source) -> Path:
    if source.mask is None:
        raise UnusableSource("There is no mask.")
    return source.mask


def _is_labelled(mask: npt.NDArray[Any], known: LabelMap) -> bool:
    mapped = known.apply(mask)
    return bool(np.mean(~np.isin(mapped, (UNLABELLED, names.AIR))) >= LEAST_LABELLED)


def _scale(slices: Sequence[Slice], recipe: Recipe, modality: str) -> float:
    """1 for CT; for MR what brings the volume's bright end to the recipe's top."""
    if modality == "CT":
        return 1.0
    top = float(recipe.normalisation[modality].units[-1])
    bright = float(np.percentile(np.stack([np.nan_to_num(one.array) for one in slices]), BRIGHT))
    if bright <= 0:
        raise UnusableSource("The image is empty.")
    return top / bright


def write_rows(folder: Path, number: int, rows: Sequence[Row]) -> None:
    """These slices as one shard below `folder`."""
    shard = folder / f"shard-{number:05d}"
    shard.mkdir(parents=True)
    np.save(shard / "images.npy", np.stack([r[0] for r in rows]).astype(np.float16))
    np.save(shard / "labels.npy", np.stack([r[1] for r in rows]))
    np.save(shard / "attributes.npy", np.array([r[2] for r in rows]))
    diagnoses = [r[3] for r in rows]
    if any(diagnoses):
        (shard / DIAGNOSES_FILE).write_text(json.dumps(diagnoses), encoding="utf-8")
