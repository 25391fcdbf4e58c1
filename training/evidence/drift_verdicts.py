"""Which claims of Latent Drifting docs/evidence/drift.json bears out, one plain sentence each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from training.evidence.drift_plan import BASIC, CHEST, ESTIMATORS, FORMATS, METHODS, PLAIN, USUAL, on_grid
from training.evidence.drift_sets import TITLES
from training.evidence.victr_verdicts import interval, judged

HELD, FAILED, OPEN = "**Held**", "**Did not hold**", "**Not shown**"
START = "init_only_terminal_snr"  # label of rows whose start was moved by that estimate
ESTIMATES = {"terminal_snr": "terminal SNR", "inversion": "inversion"}
WAYS = {"trained": "fine-tuned and drawn with it", "init_only": "the start of sampling alone moved"}
CLOSE = 0.05  # how far above the grid's best an estimate may lie
FLAT = ", so that the search tells no delta from another"
PAPER = (0.05, 0.10)  # where the paper found the best delta
Results = Mapping[str, Any]


def verdicts(results: Results) -> str:
    """One plain sentence for each claim, by the figures alone."""
    said = []
    for target in TITLES:
        said += [*_drift(results, target), *_darker(results, target), *_methods(results, target)]
        said += [*_best(results, target), *_estimates(results, target)]
    said += [*_prompts(results), *_classifier(results)]
    head = "## Which of the paper's claims held at this scale"
    return "\n".join([head, "", *(f"- {one}" for one in said)]) if said else ""


def kinds(results: Results, target: str) -> dict[str, str]:
    """Label of basic fine-tuning's rows that have drift on every seed -> what was done."""
    told = results["delta"].get(target, {})
    named = {}
    if "used" in told:
        named[on_grid(told["used"])] = f"fine-tuned and drawn with delta {told['used']:+.2f} (noise)"
    if "init_only_best" in told:
        named["init_only"] = f"drawn from a start moved by {told['init_only_best']:+.2f} (init_only)"
    for name in told.get("estimates_tuned", {}):
        named[f"init_only_{name}"] = f"drawn from a start moved by {ESTIMATES[name]} (init_only)"
    return named


def pairs(results: Results, target: str, figure: str, kind: str) -> list[tuple[float, float]]:
    """Basic fine-tuning's figure (with that kind of drift, without) for every seed that has both."""
    found = []
    for seed in results["about"]["seeds"]:
        both = [results["rows"].get(f"{target}-{BASIC}-{one}-{seed}") for one in (kind, PLAIN)]
        if all(both):
            found.append((value_of(both[0], figure), value_of(both[1], figure)))
    return found


def chosen(results: Results, target: str) -> float | None:
    """The delta of the rows with drift: the best of the search that is not 0."""
    return results["delta"].get(target, {}).get("used")


def value_of(row: Any, figure: str) -> float:
    """One figure of a row; of one with an interval its value."""
    value = row[figure]
    return float(value["value"] if isinstance(value, Mapping) else value)


def change(found: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Mean of with less without over seeds, with its interval by Student's t."""
    return interval([a - b for a, b in found])


def bounds(mean: float, low: float, high: float, digits: int = 4) -> str:
    """A difference with its interval, where there is one."""
    return f"{mean:+.{digits}f}" + (
        f" [{low:+.{digits}f}, {high:+.{digits}f}]" if math.isfinite(low) else " (one seed)"
    )


def _drift(results: Results, target: str) -> list[str]:
    said = []
    for kind, title in kinds(results, target).items():
        words, parts = [], []
        for figure, name in (("kid", "KID"), ("fid", "FID"), ("ln_radiomics", "ln radiomics")):
            found = pairs(results, target, figure, kind)
            if found:
                mean, low, high = change(found)
                words.append(judged(-high, -low, HELD, FAILED, OPEN))
                better = sum(a < b for a, b in found)
                parts.append(f"{name} {bounds(mean, low, high)}, lower on {better} of {len(found)} seeds")
        if parts:
            said.append(
                f"{words[0]} in KID, {TITLES[target]}: basic fine-tuning draws better pictures {title}. With "
                f"less without: {'; '.join(parts)}."
            )
    return said


def _darker(results: Results, target: str) -> list[str]:
    said = []
    for kind, title in kinds(results, target).items():
        found = pairs(results, target, "brightness_error", kind)
        if found:
            mean, low, high = change([(abs(a), abs(b)) for a, b in found])
            word = judged(-high, -low, HELD, FAILED, OPEN)
            without, with_ = (sum(p[i] for p in found) / len(found) for i in (1, 0))
            said.append(
                f"{word}, {TITLES[target]}: the mean grey value comes nearer to the real one {title}. Error "
                f"(scale -1..1) {without:+.3f} without, {with_:+.3f} with; change of its size "
                f"{bounds(mean, low, high, 3)}."
            )
    return said


def _methods(results: Results, target: str) -> list[str]:
    delta = chosen(results, target)
    if delta is None:
        return []
    said = []
    ways = {on_grid(delta): "fine-tuned and drawn with it", START: "drawn from a start moved by terminal SNR"}
    for kind, title in ways.items():
        gaps = {}
        for method in METHODS:
            rows = [results["rows"].get(f"{target}-{method}-{one}-1") for one in (kind, PLAIN)]
            if all(rows):
                gaps[method] = value_of(rows[0], "kid") - value_of(rows[1], "kid")
        if gaps:
            scatter = seed_scatter(results, target, kind)
            word = _of_one_seed(gaps, results["gaps"], f"{target}-{{}}-{kind}-1", scatter)
            listed = ", ".join(f"{name.replace('_', ' ')} {gap:+.4f}" for name, gap in gaps.items())
            said.append(
                f"{word}, {TITLES[target]}: drift helps the other methods of fine-tuning too, {title}. "
                f"KID with less without: {listed} (one seed; basic fine-tuning's own differs by "
                f"{scatter:.4f} between seeds)."
            )
            basic = results["rows"].get(f"{target}-{BASIC}-{kind}-1")
            rest = [results["rows"][f"{target}-{method}-{kind}-1"] for method in gaps]
            if basic:
                best = value_of(basic, "kid") <= min(value_of(row, "kid") for row in rest)
                said.append(
                    f"{HELD if best else FAILED}, {TITLES[target]}: basic fine-tuning is the best of the "
                    f"methods in KID, {title} (one seed)."
                )
    return said


def seed_scatter(results: Results, target: str, kind: str) -> float:
    """How far basic fine-tuning's change of KID differs between seeds; infinite where there is one seed."""
    found = [a - b for a, b in pairs(results, target, "kid", kind)]
    return max(found) - min(found) if len(found) > 1 else math.inf


def _of_one_seed(gaps: Mapping[str, float], intervals: Results, name: str, scatter: float) -> str:
    """A change of one seed counts where its interval over pictures leaves 0 and seeds scatter by less."""
    found = {method: intervals.get(name.format(method)) for method in gaps if abs(gaps[method]) > scatter}
    better = [one for one in found.values() if one and one["high"] < 0]
    worse = [one for one in found.values() if one and one["low"] > 0]
    if len(worse) == len(gaps):
        return FAILED
    return HELD if len(better) == len(gaps) else "**Held in part**" if better else OPEN


def is_flat(searched: Mapping[str, Mapping[str, float]]) -> bool:
    """Whether a search tells no delta from another: its worst lies within CLOSE of its best."""
    found = [one["l1"] for one in searched.values()]
    return max(found) <= (1 + CLOSE) * min(found)


def _best(results: Results, target: str) -> list[str]:
    said = []
    for kind, title in WAYS.items():
        searched = results["delta"].get(target, {}).get(kind, {})
        if "+0.00" in searched:
            best = min(searched, key=lambda d: (searched[d]["l1"], abs(float(d))))
            word = HELD if PAPER[0] <= float(best) <= PAPER[1] else FAILED
            word = OPEN if is_flat(searched) else word
            said.append(
                f"{word}, {TITLES[target]}: the best delta is {PAPER[0]:g} to {PAPER[1]:g}, {title}. "
                f"The search over {len(searched)} finds {float(best):+.2f}, L1 {searched[best]['l1']:.3f}; "
                f"without drift {searched['+0.00']['l1']:.3f}{FLAT if is_flat(searched) else ''}."
            )
    return said


def _estimates(results: Results, target: str) -> list[str]:
    told = results["delta"].get(target, {})
    said = []
    for kind, title in WAYS.items():
        searched, estimated = told.get(kind), told.get(f"{kind}_estimates", {})
        if not searched:
            continue
        best = {figure: min(one[figure] for one in searched.values()) for figure in ("l1", "kid")}
        worst = max(one["l1"] for one in searched.values())
        for name in ESTIMATORS:
            one = estimated.get(name)
            if one:
                near = one["l1"] <= (1 + CLOSE) * best["l1"]
                word = OPEN if is_flat(searched) else HELD if near else FAILED
                better = " (below it)" if one["l1"] < best["l1"] else ""
                said.append(
                    f"{word}, {TITLES[target]}: {ESTIMATES[name]}, without a search, "
                    f"comes within {100 * CLOSE:g} % of the grid's best L1, {title}: {one['l1']:.3f} against "
                    f"{best['l1']:.3f}{better}; the grid's worst is {worst:.3f}"
                    f"{FLAT if is_flat(searched) else ''}. In KID {one['kid']:.4f} against {best['kid']:.4f}."
                )
    return said


def _prompts(results: Results) -> list[str]:
    found = prompt_rows(results)
    if len(found) < 2 or USUAL not in found:
        return []
    values = {name: value_of(row, "kid") for name, row in found.items()}
    best = min(values, key=lambda name: values[name])
    own = found[best]["kid"]
    told_apart = max(values.values()) - min(values.values()) > (own["high"] - own["low"]) / 2
    listed = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
    said = []
    for is_so, claim in (
        (best == "diverse", "diverse wordings with patient information are the best prompts"),
        (values[USUAL] < values.get("generic", math.inf), "patient information beats generic prompts"),
    ):
        word = OPEN if not told_apart else HELD if is_so else FAILED
        said.append(f"{word}, chest X-rays (NIH): {claim}. KID: {listed} (one seed).")
    return said


def prompt_rows(results: Results) -> dict[str, Mapping[str, Any]]:
    """Format of the prompts -> its row."""
    delta = chosen(results, CHEST)
    if delta is None:
        return {}
    names = {
        words: f"{CHEST}-{BASIC}-{on_grid(delta)}{'' if words == USUAL else f'-{words}'}-1"
        for words in FORMATS
    }
    return {words: results["rows"][name] for words, name in names.items() if name in results["rows"]}


def _classifier(results: Results) -> list[str]:
    rows = results["classifier"]
    real, drawn = rows.get("real"), rows.get("with drift, drawn")
    if not real or not drawn:
        return []
    said = []
    plain = rows.get("without drift, drawn")
    if plain:
        word = HELD if drawn["low"] > plain["value"] else FAILED if drawn["high"] < plain["value"] else OPEN
        said.append(
            f"{word}: pictures drawn with drift train a better classifier than those drawn without. AUC "
            f"{drawn['value']:.3f} [{drawn['low']:.3f}, {drawn['high']:.3f}] against {plain['value']:.3f}."
        )
    for name in ("half and half", "drawn, then real"):
        mixed = rows.get(f"with drift, {name}")
        if mixed:
            gap = mixed.get("over_real", {"low": -math.inf, "high": math.inf, "value": math.nan})
            word = judged(gap["low"], gap["high"], HELD, FAILED, OPEN)
            said.append(
                f"{word}: {name} beats real alone, at as many updates. AUC {mixed['value']:.3f} against "
                f"{real['value']:.3f}; the difference {gap['value']:+.3f} [{gap['low']:+.3f}, "
                f"{gap['high']:+.3f}] over patients."
            )
    return said
