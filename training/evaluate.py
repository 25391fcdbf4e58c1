"""Measure a model on 512 held-out phantoms: `python -m training.evaluate abdomen-2d [--json] [--full]`.

Phantoms 0..511 of the test split, never trained on; half CT, a quarter each T1 and T2. Images are
cached under var/evaluate by a digest of the weights, so a run that was stopped goes on. On one CPU
core: about half an hour for the standard settings, 40 minutes with --full. A model that learned long
steps is measured at 2 calls of the sampler "shortcut" and at 1, against 30 calls of rft on its own
weights and, with --against MODEL, on another's.

`python -m training.evaluate counterfactuals` measures edits instead: see training/counterfactuals.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from synthesis.checkpoints import LoadedModel, load_model
from synthesis.metrics.judges import Judges, load_judges
from training import counterfactuals
from training.held_out import Setting, cached_images, content_key, held_out
from training.measures import describe, kid_between, measure, severity_at_fixed_mask, truth_of
from training.recipe import find_model

CASES = 512
FIXED_MASKS = 128  # masks on which all four severities are asked
FLOW = Setting(sampler="rft", calls=4)
SHORTCUT = Setting(sampler="shortcut", calls=2)
MANY = Setting(sampler="rft", calls=30)


def main_setting(model: LoadedModel) -> Setting:
    """The setting that a model ships with and that its goals are about."""
    return SHORTCUT if model.recipe.get("method") == "shortcut" else FLOW


def settings(full: bool, main: Setting = FLOW) -> list[Setting]:
    """Everything that is measured, the shipped setting first."""
    if main == SHORTCUT:
        short = [replace(main, calls=n) for n in ((2, 1, 4, 8) if full else (2, 1))]
        return [replace(s, masks=m) for m in ("whole", "liver") for s in (*short, MANY)]
    calls = (4, 30, 1, 2, 8) if full else (4, 30)
    return [
        Setting(sampler=sampler, calls=n, masks=masks)
        for masks in ("whole", "liver")
        for n in calls
        for sampler in ("rft", "euler")
    ]


def evaluate(
    model: LoadedModel,
    judges: Judges,
    folder: Path,
    *,
    full: bool = False,
    cases: int = CASES,
    only: Sequence[Setting] | None = None,
    against: LoadedModel | None = None,
    first: int = 0,
) -> dict[str, Any]:
    """All figures, and the goals with whether each was reached.

    `against`: another model, whose KID at 30 calls of rft is compared too. `first`: the number of the
    test phantom to begin with, for a second look that no earlier choice has seen.
    """
    root, part = folder.parent, f"from-{first}" if first else ""
    folder = folder / part
    main = main_setting(model)
    questions = held_out("test", cases, _shape(model), first=first)
    truth = truth_of(questions, model, judges)
    chosen = list(only) if only is not None else settings(full, main)
    features = {}
    figures: dict[str, Any] = {}
    for setting in chosen:
        images = cached_images(model, questions, setting, folder)
        figures[setting.name], features[setting] = measure(images, truth, model, judges, setting)
    report: dict[str, Any] = {
        "model": model.recipe.get("name"),
        "version": model.recipe.get("version"),
        "weights_sha256": model.weights_sha256,
        "cases": cases,
        "first": first,
        "main": main.name,
        "judges": judges.about,
        "real": truth.summary(),
        "settings": figures,
        "kid": {"k_ref": truth.k_ref.value},
    }
    for few in features:
        many = replace(MANY, masks=few.masks, sampler="euler" if few.sampler == "euler" else "rft")
        if (few.calls == main.calls or few.sampler == "shortcut") and many in features:
            report["kid"][_gap(few)] = kid_between(features[few], features[many], truth)
    if against is not None and main in features:
        other = cached_images(against, questions, MANY, root / content_key(against) / part)
        gap = kid_between(features[main], describe(other, questions, against, judges), truth)
        report["kid"][f"{_gap(main)}-of-{against.recipe['name']}"] = gap
    fixed = held_out("test", min(FIXED_MASKS, cases), _shape(model), first=first)
    report["severity_at_fixed_mask"] = severity_at_fixed_mask(fixed, model, judges, main, folder, first=first)
    report["goals"] = goals(report)
    return report


def _gap(few: Setting) -> str:
    return f"{few.sampler}-{few.calls}-minus-30-{few.masks}"


def goals(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The goals of the shipped setting (whole masks): figure, goal, reached."""
    main = report["settings"].get(report["main"])
    if main is None:
        return []
    many = report["settings"].get(MANY.name)
    k_ref = report["kid"]["k_ref"]
    fixed = report["severity_at_fixed_mask"]
    rows: list[tuple[str, Any, str, bool]] = [
        ("organ mean error, CT (HU)", main["organ_error_hu"], "<= 5", main["organ_error_hu"] <= 5),
        ("the same case by case", main["organ_case_error_hu"], "<= 5", main["organ_case_error_hu"] <= 5),
        ("Dice / the segmenter's own", main["dice_share"], ">= 0.95", main["dice_share"] >= 0.95),
    ]
    for modality, ratios in main["spectrum"].items():
        for band, ratio in zip(("low", "middle", "high"), ratios, strict=True):
            rows.append(
                (f"noise spectrum ratio, {modality}, {band}", ratio, "0.7 .. 1.4", 0.7 <= ratio <= 1.4)
            )
    rows += [
        ("severity judge's own accuracy", fixed["real"], ">= 0.9", fixed["real"] >= 0.9),
        ("severity read at fixed mask / own", fixed["share"], ">= 0.9", fixed["share"] >= 0.9),
    ]
    for modality, ratio in main["lesion_contrast_ratio"].items():
        rows.append((f"lesion contrast / true, {modality}", ratio, "0.75 .. 1.25", 0.75 <= ratio <= 1.25))
    for name, gap in report["kid"].items():
        if isinstance(gap, dict) and "-whole" in name and not name.startswith("euler"):
            words = f"(KID({name.split('-')[1]}) - KID(30){_whose(name)}) / K_ref"
            rows.append((words, gap["value"] / k_ref, "<= 0.1", gap["value"] <= 0.1 * k_ref))
    if many:
        share = many["kid"]["value"] / k_ref
        rows.append(("KID(30) / K_ref", share, "<= 0.3", share <= 0.3))
    return [{"measure": m, "value": f, "goal": g, "reached": bool(r)} for m, f, g, r in rows]


def _whose(name: str) -> str:
    """ " of MODEL" where a gap is one to another model."""
    _, of, other = name.partition("-of-")
    return f" of {other}" if of else ""


def table(report: dict[str, Any]) -> str:
    """The report as Markdown, for the screen and for docs/models."""
    sampler, calls, masks = report["main"].split("-")
    title = f"goal at {calls} calls ({sampler}, {masks} masks)"
    lines = [f"| {title} | figure | asked | reached |", "|---|---|---|---|"]
    for row in report["goals"]:
        lines.append(
            f"| {row['measure']} | {row['value']:.3g} | {row['goal']} | {'yes' if row['reached'] else 'NO'} |"
        )
    lines += [
        "",
        "| setting | organ error HU | case by case HU | MR case by case % | Dice share "
        "| CT spectrum | T1 spectrum | T2 spectrum | severity accuracy "
        "| lesion contrast CT/T1/T2 | KID / K_ref [95 %] |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    k_ref = report["kid"]["k_ref"]
    for name, f in report["settings"].items():
        spectra = [" ".join(f"{r:.2f}" for r in f["spectrum"][m]) for m in ("CT", "T1", "T2")]
        lesions = "/".join(
            f"{f['lesion_contrast_ratio'].get(m, float('nan')):.2f}" for m in ("CT", "T1", "T2")
        )
        k = f["kid"]
        lines.append(
            f"| {name} | {f['organ_error_hu']:.2f} | {f['organ_case_error_hu']:.2f} "
            f"| {f['organ_error_mr_percent']:.1f} "
            f"| {f['dice_share']:.3f} | "
            + " | ".join(spectra)
            + f" | {f['severity_accuracy']:.3f} | {lesions} | "
            f"{k['value'] / k_ref:.3f} [{k['low'] / k_ref:.3f}, {k['high'] / k_ref:.3f}] |"
        )
    return "\n".join(lines)


def _shape(model: LoadedModel) -> tuple[int, int]:
    return int(model.recipe["image"]["rows"]), int(model.recipe["image"]["columns"])


def main() -> None:
    """Command line."""
    if sys.argv[1:2] == ["counterfactuals"]:
        counterfactuals.main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="name under weights/, or a folder")
    parser.add_argument("--json", action="store_true", help="print every figure as JSON")
    parser.add_argument("--full", action="store_true", help="1, 2, 4, 8 and 30 calls")
    parser.add_argument("--cases", type=int, default=CASES, help="fewer phantoms, for a quick look")
    parser.add_argument("--judges", type=Path, default=Path("weights/judges"))
    parser.add_argument("--out", type=Path, default=Path("var/evaluate"))
    parser.add_argument("--first", type=int, default=0, help="number of the first test phantom")
    parser.add_argument("--few", action="store_true", help="only the few-call settings, without 30 calls")
    parser.add_argument("--masks", choices=("whole", "liver"), help="only with these masks")
    parser.add_argument("--against", help="another model whose KID at 30 calls is compared too")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = load_model(find_model(options.model))
    model.network.to(memory_format=torch.channels_last)
    folder = options.out / content_key(model)
    against = load_model(find_model(options.against)) if options.against else None
    chosen = [
        s
        for s in settings(options.full, main_setting(model))
        if options.masks in (None, s.masks) and not (options.few and s.calls == MANY.calls)
    ]
    report = evaluate(
        model,
        load_judges(options.judges),
        folder,
        full=options.full,
        cases=options.cases,
        only=chosen,
        against=against,
        first=options.first,
    )
    report_file = folder / ("report.json" if not options.first else f"report-from-{options.first}.json")
    report_file.write_text(json.dumps(report, indent=1), encoding="utf-8")
    print(json.dumps(report, indent=1) if options.json else table(report))


if __name__ == "__main__":
    main()
