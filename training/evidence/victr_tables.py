"""docs/evidence/victr.md from docs/evidence/victr.json."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training.evidence.victr_verdicts import (
    OURS,
    VANILLA,
    Results,
    interval,
    others,
    ratios,
    seeds_of,
    value_of,
    verdicts,
)

BEGIN = "<!-- from docs/evidence/victr.json: python -m training.evidence victr -->"
END = "<!-- end of what the command writes -->"
LOSS_ROWS = {
    "flow": "L_diff alone",
    "flow-spatial": "L_diff + L_spatial",
    "flow-consistency": "L_diff + L_consistency",
    "flow-temporal": "L_diff + L_temporal",
    "flow-spatial-consistency": "L_diff + L_spatial + L_consistency",
}


def document(results: Results, before: str) -> str:
    """The whole page: what the command writes stands between two marks, what people wrote around it stays."""
    head, tail = "# ViCTr: evidence\n\n", "\n"
    if BEGIN in before and END in before:
        head, tail = before.split(BEGIN)[0], before.split(END)[1]
    parts = [verdicts(results), setup(results), headline(results), ablations(results), severity(results)]
    parts += [ladder(results), forgetting(results), runs(results)]
    body = "\n\n".join(part for part in parts if part)
    return f"{head}{BEGIN}\n{body}\n{END}{tail}"


def setup(results: Results) -> str:
    """What was run."""
    about, real = results["about"], results["rows"].get("real")
    if not real:
        return ""
    sizes = about["sizes"]
    source = real["source"]
    return (
        f"Measured with `--minutes {about['minutes']:g}`, seeds {', '.join(map(str, about['seeds']))}. "
        f"Every row: the first {sizes['cases']} test phantoms in T1 and T2 (half each), whole masks, one "
        f"start noise. MFID: FID on {source['net']} (SHA-256 {source['weights_sha256'][:12]}, "
        f"{source['dimensions']} features, more than images: the values are biased upwards alike, and "
        f"MFID-infinity is only indicative). K_ref = {real['k_ref']:.5f} is the KID of the phantoms against "
        f"themselves blurred by a pixel; brackets are 95 %: over seeds by Student's t, for one seed by a "
        f"bootstrap of 1,000 draws over cases."
    )


FIGURES = {
    "kid": "KID / K_ref",
    "mfid": "MFID",
    "radiomics": "ln radiomics",
    "precision": "precision",
    "recall": "recall",
    "coverage": "coverage",
    "dice_share": "Dice share",
    "severity_accuracy": "severity read right",
    "severity_error": "severity error",
    "seconds_per_image": "s / image",
}
HEADINGS = (
    "KID / K_ref",
    "MFID (inf)",
    "ln radiomics T1 / T2",
    "precision",
    "recall",
    "coverage",
    "Dice share",
    "severity read right",
    "severity error",
    "spectrum T1",
    "spectrum T2",
)


def cells(row: Mapping[str, Any], k_ref: float) -> list[str]:
    """One row's figures as text."""
    spectrum = row.get("spectrum", {})
    return [
        kid_text(row["kid"], k_ref),
        f"{row['mfid']:.3f} ({row['mfid_infinity']:.3f})",
        " / ".join(f"{math.log(row['radiomics'][m]):.2f}" for m in ("T1", "T2")),
        *(f"{row[name]:.2f}" for name in ("precision", "recall", "coverage")),
        f"{row['dice_share']:.3f}",
        f"{row['severity_accuracy']:.2f}",
        f"{row['severity_error']:.2f}",
        *(" ".join(f"{v:.2f}" for v in spectrum[m]) if m in spectrum else "-" for m in ("T1", "T2")),
    ]


def kid_text(kid: Mapping[str, float], k_ref: float, digits: int = 3) -> str:
    """A KID with its interval in units of K_ref."""
    value, low, high = (f"{kid[part] / k_ref:.{digits}f}" for part in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [list(headings), ["---"] * len(headings), *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def headline(results: Results) -> str:
    """Ours against plain diffusion: means over seeds, then the ratios."""
    real = results["rows"].get("real")
    if not real:
        return ""
    kinds = [("ours, rft at 4 calls", "ours", OURS)]
    kinds += [(f"plain diffusion, DDIM-{row.split('-')[1]}", "vanilla", row) for row in VANILLA]
    lines = []
    for title, kind, row in kinds:
        found = seeds_of(results, kind, row)
        if found:
            means = [over_seeds([scaled(one, figure, real["k_ref"]) for one in found]) for figure in FIGURES]
            lines.append([title, str(len(found)), *means])
    perfect = [f"{scaled(real, one, real['k_ref']):.3f}" if one in real else "-" for one in FIGURES]
    lines.append(["other real phantoms", "-", *perfect])
    compared = {one: FIGURES[one] for one in ("kid", "mfid", "severity_error", "seconds_per_image")}
    ratio_lines = []
    for row in VANILLA:
        texts = [f"DDIM-{row.split('-')[1]} / ours"]
        for figure in compared:
            ratio = ratios(results, row, figure)
            texts.append("-" if ratio is None else f"{ratio[0]:.2f} [{ratio[1]:.2f}, {ratio[2]:.2f}]")
        ratio_lines.append(texts)
    return "\n\n".join(
        [
            "## Ours against plain diffusion",
            table(["", "seeds", *FIGURES.values()], lines),
            "Ratios, seed by seed in one run, geometric means (above 1 ours is better; seconds: faster):",
            table(["", *compared.values()], ratio_lines),
        ]
    )


def scaled(row: Mapping[str, Any], figure: str, k_ref: float) -> float:
    """A figure as the tables give it: KID in units of K_ref, of the radiomics distance the logarithm."""
    value = value_of(row, figure)
    return value / k_ref if figure == "kid" else math.log(value) if figure == "radiomics" else value


def over_seeds(values: Sequence[float]) -> str:
    """Mean with its interval, where there is more than one."""
    mean, low, high = interval(values)
    return f"{mean:.3f}" + (f" [{low:.3f}, {high:.3f}]" if len(values) > 1 else "")


def ablations(results: Results) -> str:
    """Every part left out, one seed each."""
    real = results["rows"].get("real")
    if not real:
        return ""
    first = results["about"]["seeds"][0]
    named = {
        f"ours-{first}/{OURS}": "ours: stage 1 (L_diff), all losses of stage 2, rank 64, rft at 4 calls",
        f"ours-{first}/rft-4-whole-k0": "without the Tweedie correction (kappa 0)",
        f"ours-{first}/rft-4-whole-k1": "kappa 1, not calibrated",
        f"ours-{first}/victr_literal-4-whole": "ViCTr's formula as printed, 4 calls",
        f"ours-{first}/rft-30-whole": "ours at 30 calls",
        f"vanilla-{first}/{VANILLA[0]}": "plain diffusion, DDIM-30, as above",
        f"vanilla-linear/{VANILLA[0]}": "plain diffusion on Ho et al.'s schedule, DDIM-30",
        f"flow-no-stage-1/{OURS}": "no stage 1: flow on the target, equal samples in all",
        f"flow-no-stage-1-short/{OURS}": "no stage 1: flow on the target, stage 2's samples alone",
        f"whole-network/{OURS}": "stage 2 on all weights, no adapter, L_diff",
        f"ewc/{OURS}": "the same with EWC",
        **{f"{name}/{OURS}": f"stage 2 with {title}" for name, title in LOSS_ROWS.items()},
        **{f"rank-{rank}/{OURS}": f"rank {rank}" for rank in others(results)},
    }
    k = real["k_ref"]
    lines = []
    for name, title in named.items():
        row = results["rows"].get(name)
        if row:
            gap = row.get("kid_over_ours")
            over = f"{gap['value'] / k:+.3f} [{gap['low'] / k:+.3f}, {gap['high'] / k:+.3f}]" if gap else "-"
            lines.append([title, *cells(row, k), over])
    lines.append(["other real phantoms", *cells(real, k), "-"])
    shares = [[f"{rank}", f"{100 * share:.0f} %"] for rank, share in sorted(_shares(results).items())]
    parts = [f"## Ablations (one seed, {first})", table(["", *HEADINGS, "KID less ours'"], lines)]
    if shares:
        parts += ["LoRA's weights as a share of the network's:", table(["rank", "share"], shares)]
    return "\n\n".join(parts)


def severity(results: Results) -> str:
    """Severity asked and read at fixed masks."""
    if not results["severity"]:
        return ""
    levels, masks = results["about"]["levels"], results["about"]["sizes"]["masks"]
    lines = []
    for name, one in results["severity"].items():
        at = dict(zip(levels if len(one["read"]) == len(levels) else range(4), one["read"]))
        lines.append(
            [name, f"{one['rho']:.2f}", f"{one['rho_per_mask']:.2f}", f"{100 * one['rising']:.0f} %"]
            + [f"{at[level]:.2f}" if level in at else "" for level in levels]
        )
    return "\n\n".join(
        [
            "## Severity at a fixed mask",
            f"Each of {masks} masks asked at every level with one noise (ours: rft at 4 calls, plain "
            "diffusion: DDIM-30); read is the judge's expected grade. Levels between the grades were never "
            "trained.",
            table(
                [
                    "",
                    "Spearman, all",
                    "per mask",
                    "never falling",
                    *(f"read at {level:g}" for level in levels),
                ],
                sorted(lines),
            ),
        ]
    )


def ladder(results: Results) -> str:
    """Samplers by number of calls, on one model."""
    if not results["ladder"]:
        return ""
    k = results["rows"]["real"]["k_ref"]
    names = list(dict.fromkeys(name.rsplit("-", 1)[0] for name in results["ladder"]))
    calls = sorted({int(name.rsplit("-", 1)[1]) for name in results["ladder"]})
    n = next(iter(results["ladder"].values()))["n"]

    def tabled(text: Any) -> str:
        rows = []
        for name in sorted(names):
            found = [results["ladder"].get(f"{name}-{c}") for c in calls]
            rows.append([name, *(text(one) if one else "-" for one in found)])
        return table(["calls", *map(str, calls)], rows)

    return "\n\n".join(
        [
            f"## Samplers by number of calls (one seed, n = {n})",
            "On the first seed's model of ours, even grids. rft's kappa is calibrated on validation phantoms "
            "at 2, 4, 8 and 30 calls; DDIM without noise is Euler's step exactly, and at one call rft, "
            "Euler, DDIM and one_step are one. Heun takes two calls a step, the last but one. KID / K_ref:",
            tabled(lambda one: f"{one['kid']['value'] / k:.3f}"),
            "Noise: power against real in the highest band, mean of T1 and T2:",
            tabled(lambda one: f"{np.mean([v[-1] for v in one['spectrum'].values()]):.2f}"),
            "Severity read right:",
            tabled(lambda one: f"{one['severity_accuracy']:.2f}"),
        ]
    )


def forgetting(results: Results) -> str:
    """CT before and after stage 2."""
    if not results["forgetting"] or "real" not in results["rows"]:
        return ""
    k = results["rows"]["real"]["k_ref"]
    rows = [
        [name, kid_text(one["kid"], k, 2), f"{one['dice_share']:.3f}"]
        for name, one in results["forgetting"].items()
    ]
    n = next(iter(results["forgetting"].values()))["n"]
    return "\n\n".join(
        [
            f"## What stage 2 forgets of CT (one seed, n = {n}, Euler at 4 calls)",
            "With the adapter switched off nothing is forgotten: the weights of stage 1 are untouched.",
            table(["", "KID / K_ref", "Dice share"], rows),
        ]
    )


def runs(results: Results) -> str:
    """What was trained, and how long it took."""
    rows = [
        [
            *(name, str(one["images"]), str(one["phantoms"])),
            *(f"{one['seconds'] / 60:.1f}", f"{one['weights']:,}", str(one.get("rank", "-"))),
        ]
        for name, one in results["runs"].items()
    ]
    if not rows:
        return ""
    minutes = sum(one["seconds"] for one in results["runs"].values()) / 60
    return "\n\n".join(
        [
            f"## Trainings ({minutes:.0f} minutes in all; of a run that was stopped, its last part)",
            table(["run", "images seen", "different", "minutes", "weights", "rank"], rows),
        ]
    )


def _shares(results: Results) -> dict[int, float]:
    return {one["rank"]: one["share"] for one in results["runs"].values() if "rank" in one}
