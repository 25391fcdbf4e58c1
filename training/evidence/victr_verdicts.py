"""Which claims of ViCTr the figures of docs/evidence/victr.json bear out, one plain sentence each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

OURS, VANILLA = "rft-4-whole", ("ddim-30-whole", "ddim-50-whole", "ddim-4-whole")
SHIPPED = "abdomen-2d"
Results = Mapping[str, Any]


def verdicts(results: Results) -> str:
    """One plain sentence for each claim, by the figures alone."""
    said = [*_few_steps(results), *_parts(results), *_ranks(results), *_severity(results)]
    return (
        "\n".join(["## Which claims held at this scale", "", *(f"- {one}" for one in said)]) if said else ""
    )


def judged(low: float, high: float, better: str, worse: str, open_: str) -> str:
    """`better` where the whole interval lies above 0, `worse` where below, else `open_`."""
    return better if low > 0 else worse if high < 0 else open_


def _few_steps(results: Results) -> list[str]:
    said = []
    for row in VANILLA[:2]:
        calls = row.split("-")[1]
        found = ratios(results, row, "kid")
        if found:
            mean, low, high = found
            word = judged(low - 1, high - 1, "**Held**", "**Did not hold**", "**Not shown**")
            seeds = len(seeds_of(results, "vanilla", row))
            said.append(
                f"{word}: 4 calls of ours are at least as good as {calls} of plain diffusion. KID of plain "
                f"diffusion over ours: {mean:.2f} [{low:.2f}, {high:.2f}], {seeds} seeds (above 1: ours)."
            )
    return said


def _parts(results: Results) -> list[str]:
    rows = results["rows"]
    first = results["about"]["seeds"][0]
    claims = {
        f"ours-{first}/rft-30-whole": "four calls are as good as thirty of the same model",
        f"ours-{first}/{OURS}-k0": "the Tweedie correction helps",
        "flow-no-stage-1/"
        + OURS: "stage 1 and an adapter beat the target alone, all weights, equal samples in all",
        "flow-no-stage-1-short/"
        + OURS: "stage 1 and an adapter beat the target alone, all weights, stage 2's samples",
        "flow/" + OURS: "the three consistency terms together help",
        "flow-consistency/" + OURS: "spatial and temporal terms help beside L_consistency",
        "flow-spatial/" + OURS: "L_consistency and the temporal term help beside L_spatial",
    }
    said = []
    for name, claim in claims.items():
        gap = rows.get(name, {}).get("kid_over_ours")
        if gap:
            word = judged(gap["low"], gap["high"], "**Held**", "**Did not hold**", "**Not shown**")
            k = rows["real"]["k_ref"]
            low, value, high = (f"{gap[part] / k:+.3f}" for part in ("low", "value", "high"))
            said.append(
                f"{word}: {claim}. KID of the other less that of ours: {value} "
                f"[{low}, {high}] K_ref (above 0: ours; one seed)."
            )
    return said


def _ranks(results: Results) -> list[str]:
    found = rank_rows(results)
    if len(found) < 2:
        return []
    best = min(found, key=lambda rank: value_of(found[rank], "kid"))
    most = max(found)
    word = "**Held**" if best == most else "**Did not hold**"
    k = results["rows"]["real"]["k_ref"]
    listed = ", ".join(f"{rank}: {value_of(found[rank], 'kid') / k:.3f}" for rank in sorted(found))
    return [f"{word}: rank {most} is the best of the ranks. KID / K_ref by rank: {listed} (one seed)."]


def _severity(results: Results) -> list[str]:
    found = [results["severity"].get(f"ours-{seed}") for seed in results["about"]["seeds"]]
    rho = [one["rho"] for one in found if one]
    real = results["severity"].get("real")
    if not rho or not real:
        return []
    mean, low, high = interval(rho)
    word = "**Held**" if mean >= 0.9 * real["rho"] else "**Held in part**" if low > 0 else "**Not shown**"
    said = [
        f"{word}: severity is graded. Spearman between asked and read at a fixed mask: {mean:.2f} "
        f"[{low:.2f}, {high:.2f}]; the phantoms' own, at the four grades, {real['rho']:.2f}."
    ]
    ships = results["severity"].get(SHIPPED)
    if ships:
        said.append(
            f"Severity in the model that ships ({SHIPPED}), asked at and between the grades: "
            f"{ships['rho']:.2f}, never falling at {100 * ships['rising']:.0f} % of {ships['n']} masks."
        )
    return said


def seeds_of(results: Results, kind: str, row: str) -> list[Mapping[str, Any]]:
    """The figures of one row for every seed that has them."""
    found = [results["rows"].get(f"{kind}-{seed}/{row}") for seed in results["about"]["seeds"]]
    return [one for one in found if one]


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean with its 95 % interval by Student's t; infinitely wide for a single value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, -math.inf, math.inf
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))
    return mean, mean - half, mean + half


def ratios(results: Results, row: str, figure: str) -> tuple[float, float, float] | None:
    """Vanilla's figure over ours, geometric mean over seeds with its interval (t, of the logarithms)."""
    pairs = [
        (value_of(vanilla, figure), value_of(ours, figure))
        for vanilla, ours in zip(seeds_of(results, "vanilla", row), seeds_of(results, "ours", OURS))
    ]
    if not pairs or min(min(pair) for pair in pairs) <= 0:
        return None
    mean, low, high = interval([math.log(a / b) for a, b in pairs])
    return math.exp(mean), math.exp(low), math.exp(high) if high < math.inf else math.inf


def value_of(row: Mapping[str, Any], figure: str) -> float:
    """One figure of a row; of a table per modality the mean, of KID its value."""
    value = row[figure]
    if isinstance(value, Mapping):
        return float(value["value"] if "value" in value else np.mean(list(value.values())))
    return float(value)


def rank_rows(results: Results) -> dict[int, Mapping[str, Any]]:
    """Rank -> its row, ours among them."""
    first = results["about"]["seeds"][0]
    found = {}
    for name in (f"ours-{first}", *(f"rank-{rank}" for rank in others(results))):
        row, run = results["rows"].get(f"{name}/{OURS}"), results["runs"].get(name)
        if row and run and "rank" in run:
            found[int(run["rank"])] = row
    return found


def others(results: Results) -> list[int]:
    """The ranks that were trained beside ours."""
    return sorted(int(name.split("-")[1]) for name in results["runs"] if name.startswith("rank-"))
