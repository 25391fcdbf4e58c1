"""docs/evidence/drift.md from docs/evidence/drift.json."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from training.evidence.drift_plan import BASIC, METHODS, PLAIN, USUAL, VALIDATED, on_grid
from training.evidence.drift_sets import TITLES
from training.evidence.drift_verdicts import (
    START,
    Results,
    bounds,
    change,
    chosen,
    kinds,
    pairs,
    prompt_rows,
    value_of,
    verdicts,
)
from training.evidence.victr_tables import table
from training.evidence.victr_verdicts import interval

BEGIN = "<!-- from docs/evidence/drift.json: python -m training.evidence drift -->"
END = "<!-- end of what the command writes -->"
FIGURES = {
    "kid": "KID",
    "fid": "FID",
    "ln_radiomics": "ln radiomics",
    "l1": "L1 of grey values",
    "brightness_error": "mean brightness, error",
    "brightness_spread": "spread of brightness / real",
    "background_error": "background, error",
    "nearer_than_held_out": "nearer than held out",
    "copies": "copies",
}
DIGITS = {
    "kid": 4,
    "fid": 3,
    "copies": 2,
    "nearer_than_held_out": 2,
    "brightness_spread": 2,
    "ln_radiomics": 2,
}
CHANGED = ("kid", "fid", "ln_radiomics", "l1", "brightness_error", "background_error")


def document(results: Results, before: str) -> str:
    """The whole page: what the command writes stands between two marks, what people wrote around it stays."""
    head, tail = "# Latent Drifting: evidence\n\n", "\n"
    if BEGIN in before and END in before:
        head, tail = before.split(BEGIN)[0], before.split(END)[1]
    parts = [verdicts(results), missing(results), setup(results), source(results)]
    for target in TITLES:
        parts += [headline(results, target), others(results, target), searched(results, target)]
    parts += [prompts(results), classifier(results), runs(results)]
    body = "\n\n".join(part for part in parts if part)
    return f"{head}{BEGIN}\n{body}\n{END}{tail}"


def missing(results: Results) -> str:
    """What the plan has and this run has not."""
    left = results.get("missing", [])
    return f"Not run: {', '.join(left)}." if left else ""


def setup(results: Results) -> str:
    """What was run, on whom, and what the figures are."""
    counts, net = results["counts"], results.get("net")
    if not counts or not net:
        return ""
    split = [
        [TITLES[target], *(f"{one[s]['pictures']} of {one[s]['patients']}" for s in one)]
        for target, one in counts.items()
    ]
    names = list(next(iter(counts.values())))
    about = results["about"]
    return "\n\n".join(
        [
            "## What was run",
            f"`--minutes {about['minutes']:g}`, seeds {', '.join(map(str, about['seeds']))}; "
            f"{about['steps']['tuning']} "
            f"steps of 16 for each fine-tuning, {about['sampler_steps']} steps of DDIM, no guidance. "
            "Pictures are 64 x "
            "64, grey, -1 (black) to 1. Each set is asked for with the prompts of the real pictures that it "
            "is held "
            "against. Everything was chosen on validation patients; the test patients were used for these "
            "tables.",
            table(["pictures of patients", *names], split),
            f"KID and FID: on {net['net']} (SHA-256 {net['weights_sha256'][:12]}, {net['preprocessing']}; "
            "for chest "
            f"X-rays it is told CT), {net['dimensions']} features, more than pictures: FID is biased upwards "
            "in all rows, alike where n is the same. Radiomics: the Frechet distance of 126 features without "
            "weights, as its logarithm. L1: of "
            "normalised histograms of grey values, 0 to 2, the paper's measure for its search. Mean "
            "brightness: of "
            "all pixels, drawn less real. Background: the darkest tenth of each picture, drawn less real. "
            "Nearer than "
            "held out: how near a drawn picture's nearest training picture is, as the share of held-out real "
            "pictures "
            "that are farther from theirs (0.5 as between patients, 1 a copy); copies: the share nearer to a "
            "training "
            "picture than 99 % of those are to each other. Brackets are 95 %: of one seed by 1,000 bootstrap "
            "draws "
            "over drawn pictures and over the patients of the real ones, over seeds by Student's t.",
        ]
    )


def source(results: Results) -> str:
    """The model that everything begins from."""
    told = results["source"]
    if not told:
        return ""
    rows = [
        [
            name,
            f"{one['psnr']:.1f}",
            f"{one['brightness']:+.3f}",
            " ".join(f"{v:+.2f}" for v in one["latents"]),
        ]
        for name, one in told["sets"].items()
    ]
    drawn = told["drawn"]
    return "\n\n".join(
        [
            "## The source",
            f"Stable Diffusion 1.x's classes at a small size ({told['weights']:,} weights in the U-Net), "
            f"{told['steps']['source']} steps of 32 on 3,615 photos of clothes; the autoencoder, "
            f"{told['steps']['autoencoder']} steps of 8 on clothes and CT and MR phantoms. Reconstruction, "
            "which "
            "bounds everything below, the mean grey value, and the mean of the latents:",
            table(["", "PSNR dB", "mean", "mean of each latent channel"], rows),
            f"The schedule ends at sqrt(alpha_bar_T) = {told['terminal']:.4f}; a scalar delta of 0.1 moves "
            "the start "
            f"of {told['shape'][1]} x {told['shape'][2]} latents by {told['dc_sigma']:.1f} standard "
            "deviations of their "
            "mean in each channel (Stable Diffusion at 512 pixels: 6.4). The source itself draws clothes "
            f"{drawn['brightness_error']:+.3f} too bright on average, in the mean of {drawn['n']} pictures: "
            "the defect "
            "is there before any fine-tuning.",
        ]
    )


def headline(results: Results, target: str) -> str:
    """Basic fine-tuning with and without drift, over the seeds, and real against real."""
    real = results["rows"].get(f"{target}-real")
    if chosen(results, target) is None or not real:
        return ""
    seeds, lines = results["about"]["seeds"], []
    for kind, title in {PLAIN: "without drift", **kinds(results, target)}.items():
        found = [results["rows"].get(f"{target}-{BASIC}-{kind}-{seed}") for seed in seeds]
        rows = [row for row in found if row]
        if rows:
            cells = [_over_seeds(rows, f) for f in FIGURES]
            lines.append([title, str(len(rows)), str(rows[0]["n"]), *cells])
    lines.append(["real, of training patients", "-", str(real["n"]), *(_cell(real, f) for f in FIGURES)])
    parts = [
        f"## {capital(TITLES[target])}: basic fine-tuning",
        table(["", "seeds", "n", *FIGURES.values()], lines),
    ]
    changes, gaps = [], []
    for kind, title in kinds(results, target).items():
        if pairs(results, target, "kid", kind):
            both = {f: change(pairs(results, target, f, kind)) for f in CHANGED}
            changes.append([title, *(bounds(*one, DIGITS.get(f, 3)) for f, one in both.items())])
            own = [results["gaps"].get(f"{target}-{BASIC}-{kind}-{seed}") for seed in seeds]
            gaps.append([title, *(_bracketed(one, 4) if one else "-" for one in own)])
    if changes:
        parts += [
            "With drift less without, seed by seed (below 0 is better, but for the errors):",
            table(["", *(FIGURES[f] for f in CHANGED)], changes),
            "The change of KID of each seed by itself, from the same noise picture by picture:",
            table(["", *(f"seed {seed}" for seed in seeds)], gaps),
        ]
    return "\n\n".join(parts)


def capital(title: str) -> str:
    """With a capital, as a heading begins."""
    return title[0].upper() + title[1:]


def others(results: Results, target: str) -> str:
    """The other schemes and the other methods, one seed."""
    delta = chosen(results, target)
    if delta is None:
        return ""
    told = results["delta"][target]
    at = f"{told['init_only_best']:+.2f}" if "init_only_best" in told else "?"
    named = {
        f"{target}-{BASIC}-{PLAIN}-1": "basic, without drift",
        f"{target}-{BASIC}-{on_grid(delta)}-1": f"basic, noise {delta:+.2f}",
        f"{target}-{BASIC}-prior-1": f"basic, prior {delta:+.2f}",
        f"{target}-{BASIC}-init_only-1": f"basic without drift, drawn by init_only {at}",
        f"{target}-{BASIC}-literal-1": f"basic without drift, drawn by literal {at} (delta / N a step)",
        f"{target}-{BASIC}-terminal_snr-1": "basic, noise by terminal SNR, per channel",
        f"{target}-{BASIC}-inversion-1": "basic, noise by inversion, per channel",
        f"{target}-{BASIC}-init_only_terminal_snr-1": "basic without drift, init_only by terminal SNR",
        f"{target}-{BASIC}-init_only_inversion-1": "basic without drift, init_only by inversion",
    }
    for method in METHODS:
        for kind, title in (
            (PLAIN, "without drift"), (on_grid(delta), f"noise {delta:+.2f}"),
            (START, "without drift, init_only by terminal SNR"),
        ):  # fmt: skip
            named[f"{target}-{method}-{kind}-1"] = f"{method.replace('_', ' ')}, {title}"
    lines = [
        [title, *(_cell(results["rows"][name], f) for f in FIGURES)]
        for name, title in named.items()
        if name in results["rows"]
    ]
    if len(lines) < 3:
        return ""
    heading = f"### {capital(TITLES[target])}: schemes and methods (one seed)"
    return "\n\n".join([heading, table(["", *FIGURES.values()], lines)])


def searched(results: Results, target: str) -> str:
    """The search over delta and the estimates, on validation patients."""
    told = results["delta"].get(target, {})
    parts = []
    for kind, title in (
        ("trained", "A fine-tuning for each delta, scheme `noise`"),
        ("init_only", "One fine-tuning without drift, the start of sampling moved (`init_only`)"),
    ):
        found = told.get(kind)
        if not found:
            continue
        rows = [[delta, *_searched(found[delta])] for delta in sorted(found, key=float)]
        for name, one in told.get(f"{kind}_estimates", {}).items():
            values = " ".join(f"{v:+.3f}" for v in one["delta"])
            rows.append([f"{name.replace('_', ' ')} ({values})", *_searched(one)])
        parts += [f"{title}:", table(["delta", "L1", "KID", "mean brightness, error"], rows)]
    if not parts:
        return ""
    n = min(VALIDATED, results["counts"][target]["validation"]["pictures"])
    heading = f"### {capital(TITLES[target])}: choosing delta (seed 1, {n} validation pictures)"
    return "\n\n".join([heading, *parts])


def prompts(results: Results) -> str:
    """How patients are told of."""
    found = prompt_rows(results)
    if len(found) < 2:
        return ""
    lines = [
        [
            f"patient, age {name}" if name in ("binned", "word", USUAL) else name,
            row.get("example", ""),
            *(_cell(row, f) for f in FIGURES),
        ]
        for name, row in found.items()
    ]
    return "\n\n".join(
        [
            "## Prompt formats (chest X-rays, basic fine-tuning with drift, one seed)",
            table(["", "for example", *FIGURES.values()], lines),
        ]
    )


def classifier(results: Results) -> str:
    """What drawn pictures are worth to a classifier."""
    rows = results["classifier"]
    if not rows:
        return ""
    lines = [
        [name, _bracketed(one, 3), _bracketed(one["over_real"], 3) if "over_real" in one else "-"]
        for name, one in rows.items()
    ]
    about = results["about"]
    return "\n\n".join(
        [
            "## A classifier of pneumonia (chest X-rays)",
            f"{about['updates']} updates of 32 in every row, mean AUC of {about['classifiers']} classifiers "
            "on the "
            "test patients' real pictures, brackets over patients. Drawn: as many pictures as there are real "
            "ones, "
            "asked for with the prompts of the training patients; with drift: from the start that terminal "
            'SNR tells. "As asked": what classifiers trained on '
            "real "
            "pictures make of drawn ones, by what was asked for. Cardiac MR has no such table: 31 patients "
            "in four "
            "diagnosis groups, eight of them test patients, carry no AUC.",
            table(["trained on", "AUC", "less real alone"], lines),
        ]
    )


def runs(results: Results) -> str:
    """What was trained, and how long it took."""
    if not results["runs"]:
        return ""
    rows = [[name, f"{one['steps']}", f"{one['seconds'] / 60:.1f}"] for name, one in results["runs"].items()]
    minutes = sum(one["seconds"] for one in results["runs"].values()) / 60
    return "\n\n".join(
        [f"## Trainings ({minutes:.0f} minutes in all)", table(["run", "steps", "minutes"], rows)]
    )


def _searched(one: Mapping[str, Any]) -> list[str]:
    return [f"{one['l1']:.3f}", f"{one['kid']:.4f}", f"{one['brightness_error']:+.3f}"]


def _cell(row: Mapping[str, Any], figure: str) -> str:
    if figure not in row:
        return "-"
    digits = DIGITS.get(figure, 3)
    if isinstance(row[figure], Mapping):
        return _bracketed(row[figure], digits)
    return f"{row[figure]:{'+' if figure.endswith('error') else ''}.{digits}f}"


def _over_seeds(rows: Sequence[Mapping[str, Any]], figure: str) -> str:
    mean, low, high = interval([value_of(row, figure) for row in rows])
    digits = DIGITS.get(figure, 3)
    text = f"{mean:{'+' if figure.endswith('error') else ''}.{digits}f}"
    return text + (f" [{low:.{digits}f}, {high:.{digits}f}]" if math.isfinite(low) else "")


def _bracketed(one: Mapping[str, float], digits: int) -> str:
    return f"{one['value']:.{digits}f} [{one['low']:.{digits}f}, {one['high']:.{digits}f}]"
