"""Are the counterfactuals true? Edits of held-out phantoms against the same phantoms with one thing changed.

`python -m training.evaluate counterfactuals [--cases 12] [--split test] [--only severe-none ...]`

For every change the phantom is drawn twice from one seed, before and after: same person, same mask, same
noise. The image before is edited and compared with the image after, inside the region that truly differs
and outside it. The first row also gives the null edit (nothing changed) and there and back; each row what
two readers of severity say: the shipped judge, which `guided` follows, and a small one on texture
statistics that no method has seen. Edits are cached under var/counterfactuals, so a run that was stopped
goes on. Each file is named by what its images depend on: one of an older program that named too little is not
found any more, the edit is made anew, and the file may be deleted.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from synthesis import round_trip
from synthesis.catalog import COUNTERFACTUALS
from synthesis.checkpoints import LoadedModel, load_model
from synthesis.counterfactuals import flow_inversion
from synthesis.edit import between_of, method_options, outcome_of, prepare
from synthesis.edit_request import EditOptions
from synthesis.editing import Edit, unchanged
from synthesis.metrics import perceptual
from synthesis.metrics.judges import SCALE, Judges, load_judges
from synthesis.metrics.minimality import root_mean_square
from synthesis.metrics.psnr import psnr
from synthesis.metrics.ssim import ssim
from synthesis.phantoms import WINDOWS, Phantom
from synthesis.phantoms.labels import LESION
from synthesis.request import MODALITIES, Condition
from training.counterfactual_changes import CHANGES, Change, condition_of, inner_liver, pairs_of
from training.counterfactual_rows import add_rows, rows_asked
from training.counterfactual_table import HEADINGS, line
from training.held_out import content_key
from training.recipe import find_model
from training.texture_reader import TextureReader, kept_texture_reader

Images = npt.NDArray[np.float32]
BATCH = 4
NOT_INSTALLED = "not installed"


def edited_images(
    model: LoadedModel,
    change: Change,
    pairs: Sequence[tuple[Phantom, Phantom]],
    rows: Mapping[str, EditOptions],
    judges: Judges,
    folder: Path,
    *,
    thorough: bool = True,
    editor: LoadedModel | None = None,
) -> dict[str, dict[str, Images]]:
    """Row -> "edited" and, where `thorough`, for a method's first row "null" and "back": images [n, H, W].

    They are kept in `folder`. `editor` makes the rows of `instruct_pix2pix`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    first = {options.method: row for row, options in reversed(rows.items())}
    for start in range(0, len(pairs), BATCH):
        some = pairs[start : start + BATCH]
        batches = [None if one is None else _Batch(one, some, judges) for one in (model, editor)]
        made = {}
        for row, options in rows.items():
            batch = batches[options.method == "instruct_pix2pix"]
            if batch is None:
                raise ValueError(f"editor: expected the model that makes the row {row}, got none")
            key = [content_key(batch.model), change.name, batch.modality, [b.seed for b, _ in batch.pairs]]
            whole = thorough and first[options.method] == row
            wanted = [*key, options.to_json(), whole, *batch.decided(options, whole=whole)]
            path = folder / (hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:20] + ".npz")
            if not path.is_file():
                began = time.monotonic()
                found = batch.run(options, thorough=whole)
                found["seconds"] = np.array((time.monotonic() - began) / len(batch.pairs))
                part = path.with_suffix(".part.npz")
                np.savez(part, allow_pickle=False, **found)
                part.replace(path)
            with np.load(path) as kept:
                made[row] = {name: kept[name] for name in kept.files}
        parts.append(made)
    return {
        row: {
            name: np.concatenate([np.atleast_1d(part[row][name]) for part in parts]) for name in parts[0][row]
        }
        for row in rows
    }


class _Batch:
    """Some pairs of one change, whose way back to the noise is gone once for all rows that share it."""

    def __init__(self, model: LoadedModel, pairs: Sequence[tuple[Phantom, Phantom]], judges: Judges) -> None:
        self.model, self.pairs, self.judges = model, pairs, judges
        self.modality = pairs[0][0].modality
        self._paths: dict[tuple[float, int], round_trip.Path] = {}

    def run(self, options: EditOptions, *, thorough: bool) -> dict[str, Images]:
        """The images of one row: edited, and where `thorough` with nothing changed and back again."""
        there = self._prepared([b.image for b, _ in self.pairs], self.pairs)
        chosen = self._chosen(options, self.pairs[0])
        found = {"edited": self._edited(there, chosen)}
        if thorough:
            found["null"] = self._edited(self._unchanged(there), chosen)
            turned = [(a, b) for b, a in self.pairs]
            again = self._prepared(list(found["edited"]), turned)
            opposite = self._chosen(options, turned[0])
            found["back"] = self._edited(again, opposite, shared=False)
        return found

    def decided(self, options: EditOptions, *, whole: bool) -> list[Any]:
        """What else the images depend on, as JSON: what becomes of options left to the change, both ways,
        what is said between where severity is weighed by itself, and how a method that follows a verdict
        or words is asked for nothing.
        """
        both = [self.pairs, [(a, b) for b, a in self.pairs]] if whole else [self.pairs]
        chosen = [self._chosen(options, pairs[0]) for pairs in both]
        found: list[Any] = [
            {one.name: getattr(each, one.name) for one in fields(each) if one.name != "drift"}
            for each in chosen
        ]
        weighed = [
            [one.to_json() for one in said]
            for each, pairs in zip(chosen, both, strict=True)
            if isinstance(each, flow_inversion.Options) and each.contrast != 1
            if (said := _between(pairs)) is not None
        ]
        nothing = whole and options.method in ("guided", "pix2pix_zero")
        return [*found, *(["nothing asked for"] if nothing else []), *weighed]

    def _chosen(self, options: EditOptions, pair: tuple[Phantom, Phantom]) -> Any:
        one, other = pair
        self.method = options.method
        return method_options(
            options,
            one.labels,
            other.labels,
            condition_of(one),
            condition_of(other),
            self.model.recipe,
        )

    def _prepared(self, images: Sequence[Images], pairs: Sequence[tuple[Phantom, Phantom]]) -> Edit:
        return prepare(
            self.model,
            images,
            [b.labels for b, _ in pairs],
            [a.labels for _, a in pairs],
            [condition_of(b) for b, _ in pairs],
            [condition_of(a) for _, a in pairs],
            judges=self.judges,
            seeds=[b.seed for b, _ in pairs],
        )

    def _unchanged(self, work: Edit) -> Edit:
        """The edit that asks for what is there, of the reader that `guided` follows too."""
        shown = [b.labels for b, _ in self.pairs], [condition_of(b) for b, _ in self.pairs]
        return replace(unchanged(work), outcome=outcome_of(self.model, self.judges, *shown))

    def _edited(self, work: Edit, chosen: Any, *, shared: bool = True) -> Images:
        if isinstance(chosen, flow_inversion.Options):
            key = (chosen.strength, chosen.steps)
            path = self._paths.get(key) if shared else None
            if path is None:
                path = flow_inversion.way_back(work, chosen)
                if shared:
                    self._paths[key] = path
            x = flow_inversion.way_forth(work, path, chosen)
        else:
            x = COUNTERFACTUALS[self.method].load()(work, options=chosen)
        with torch.no_grad():
            shown = self.model.network.decode(x)[:, 0].float().numpy()
        return self.model.denormalise(shown, self.modality)


def _between(pairs: Sequence[tuple[Phantom, Phantom]]) -> list[Condition] | None:
    return between_of(
        [b.labels for b, _ in pairs],
        [a.labels for _, a in pairs],
        [condition_of(b) for b, _ in pairs],
        [condition_of(a) for _, a in pairs],
    )


def figures(
    found: dict[str, Images],
    pairs: Sequence[tuple[Phantom, Phantom]],
    change: Change,
    model: LoadedModel,
    judges: Judges,
    reader: TextureReader,
) -> dict[str, Any]:
    """The figures of one row. Root mean squares are pooled over all pixels of all pairs."""
    modality = pairs[0][0].modality
    low, high = WINDOWS[modality]
    source = np.stack([b.image for b, _ in pairs])
    truth = np.stack([a.image for _, a in pairs])
    masks = np.stack([a.labels for _, a in pairs])
    changed = source != truth
    edited = found["edited"]
    core = changed & np.stack([inner_liver(m) for m in masks])

    def error(images: Images, where: npt.NDArray[np.bool_]) -> float | None:
        return root_mean_square((images - truth)[where].astype(np.float64))

    row: dict[str, Any] = {
        "cases": len(pairs),
        "inside": error(edited, changed),
        "inside_unedited": error(source, changed),
        "core": error(edited, core),
        "core_unedited": error(source, core),
        "outside": error(edited, ~changed),
        "null_outside": None,
        "null_psnr": None,
        "back_psnr": _mean_psnr(found["back"], source, high - low) if "back" in found else None,
        "l1": float(np.abs(edited - source).mean()),
        "ssim": float(np.mean([ssim(e, s, data_range=high - low) for e, s in zip(edited, source)])),
        "psnr": _mean_psnr(edited, source, high - low),
        "lpips": _mean_lpips(edited, source, low, high),
        "seconds": float(np.mean(found["seconds"])),
    }
    if "null" in found:
        row["null_outside"] = root_mean_square((found["null"] - source)[~changed].astype(np.float64))
        row["null_psnr"] = _mean_psnr(found["null"], source, high - low)
    if change.reads is not None:
        scaled = torch.from_numpy(SCALE[modality].forward(edited))[:, None]
        kinds = torch.full((len(edited),), MODALITIES.index(modality))
        row["judge"] = float(np.mean(judges.grade(scaled, masks, kinds) == change.reads))
        for name, images in (("reader", edited), ("reader_on_truth", truth)):
            row[name] = float(np.mean(reader.grade(images, masks) == change.reads))
    if "steatosis" in change.after or "lesions" in change.after:
        row["effect"] = _effect(edited, source, truth, pairs)
    return row


def _effect(
    edited: Images, source: Images, truth: Images, pairs: Sequence[tuple[Phantom, Phantom]]
) -> list[float]:
    """Mean change made and true: of the liver (steatosis), or of a lesion's pixels where masks differ."""
    differ = np.stack([b.labels != a.labels for b, a in pairs])
    where = (
        differ & np.stack([(b.labels == LESION) | (a.labels == LESION) for b, a in pairs])
        if differ.any()
        else np.stack([inner_liver(a.labels) for _, a in pairs])
    )
    return [float((one - source)[where].mean()) for one in (edited, truth)]


def _mean_psnr(images: Images, truth: Images, data_range: float) -> float:
    """PSNR of the mean square error over all images."""
    return psnr(np.asarray(images), np.asarray(truth), data_range=data_range)


def _mean_lpips(images: Images, truth: Images, low: float, high: float) -> float | str:
    """LPIPS in the window low..high over all images; NOT_INSTALLED where it is not there."""
    measure = perceptual.installed()
    if measure is None:
        return NOT_INSTALLED
    return float(np.mean([measure(a, b, low=low, high=high) for a, b in zip(images, truth, strict=True)]))


UNEDITED = "unedited: the row to beat"
RECONSTRUCTED = "reconstructed: what the autoencoder alone keeps"


@torch.no_grad()
def reconstructed(model: LoadedModel, images: Images, modality: str) -> Images:
    """Images [n, H, W] through the model's autoencoder and back: the bound of all that it makes."""
    states, _ = model.network.encode(torch.from_numpy(model.normalise(images, modality))[:, None])
    return model.denormalise(model.network.decode(states)[:, 0].float().numpy(), modality)


def evaluate_counterfactuals(
    model: LoadedModel,
    judges: Judges,
    folder: Path,
    *,
    split: str,
    cases: int,
    changes: Sequence[str],
    rows: Mapping[str, EditOptions],
    modality: str = "CT",
    first: int = 0,
    thorough: bool = True,
    editor: LoadedModel | None = None,
) -> dict[str, Any]:
    """Every figure, by change and row; the rows of `instruct_pix2pix` are made by the model `editor`.

    A model in latents has one row more: what its autoencoder alone makes of the unedited images.
    """
    shape = (int(model.recipe["image"]["rows"]), int(model.recipe["image"]["columns"]))
    reader = kept_texture_reader(modality, shape, folder)
    report: dict[str, Any] = {
        "model": model.recipe.get("name"),
        "weights_sha256": model.weights_sha256,
        "editor_sha256": editor and editor.weights_sha256,
        "split": split,
        "cases": cases,
        "first": first,
        "modality": modality,
        "reader_accuracy": reader.accuracy,
        "rows": {},
    }
    for name in changes:
        change = CHANGES[name]
        pairs = pairs_of(change, split, cases, modality, shape, first)
        asked = {
            row: options
            for row, options in rows.items()
            if options.method != "guided" or change.reads is not None
        }
        found = edited_images(model, change, pairs, asked, judges, folder, thorough=thorough, editor=editor)
        source = np.stack([before.image for before, _ in pairs])
        beside = {UNEDITED: source}
        if model.network.in_latents:
            beside[RECONSTRUCTED] = reconstructed(model, source, modality)
        for row, images in beside.items():
            found[row] = dict.fromkeys(("edited", "null", "back"), images) | {
                "seconds": np.zeros(1, np.float32)
            }
        for row in (*beside, *asked):
            key = f"{name} | {row}"
            report["rows"][key] = figures(found[row], pairs, change, model, judges, reader)
            print(line(key, report["rows"][key]), flush=True)
    return report


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate counterfactuals",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="abdomen-2d", help="name under weights/, or a folder")
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--cases", type=int, default=12)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--modality", choices=MODALITIES, default="CT")
    parser.add_argument("--only", nargs="+", choices=sorted(CHANGES), default=list(CHANGES))
    add_rows(parser)
    parser.add_argument("--editor", default="abdomen-2d-edit", help="the model that makes its rows")
    parser.add_argument("--edits-only", action="store_true", help="no null edit, no way there and back")
    parser.add_argument("--judges", type=Path, default=Path("weights/judges"))
    parser.add_argument("--out", type=Path, default=Path("var/counterfactuals"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    model = load_model(find_model(options.model))
    model.network.to(memory_format=torch.channels_last)
    rows = rows_asked(options, model.recipe)
    editor = None
    if any(one.method == "instruct_pix2pix" for one in rows.values()):
        editor = load_model(find_model(options.editor))
        editor.network.to(memory_format=torch.channels_last)
    print("| " + HEADINGS + " |\n" + "|---" * (HEADINGS.count("|") + 1) + "|")
    report = evaluate_counterfactuals(
        model,
        load_judges(options.judges),
        options.out,
        split=options.split,
        cases=options.cases,
        changes=options.only,
        rows=rows,
        editor=editor,
        modality=options.modality,
        first=options.first,
        thorough=not options.edits_only,
    )
    options.out.mkdir(parents=True, exist_ok=True)
    name = f"{options.split}-{options.modality}-{options.cases}-from-{options.first}.json"
    (options.out / name).write_text(json.dumps(report, indent=1), encoding="utf-8")
    print(f"\nThe texture reader's own accuracy on phantoms it never saw: {report['reader_accuracy']:.3f}")


if __name__ == "__main__":
    main()
