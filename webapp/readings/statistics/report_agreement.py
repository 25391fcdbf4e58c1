"""The part of the report on agreement, repeats, time, difficulty and graded questions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from webapp.readings.statistics import (
    accuracy,
    agreement,
    difficulty,
    fleiss,
    gwet,
    krippendorff,
    repeatability,
    timing,
    weighted_kappa,
)
from webapp.readings.statistics.data import Grades, Indices, Numbers, Ratings, Table
from webapp.readings.statistics.figure import Figure, Json, between
from webapp.readings.statistics.repeatability import Pairs
from webapp.readings.statistics.report_readers import spread_json


def agreement_block(answers: Table) -> dict[str, Json]:
    """How far readers agree with each other, on decisions and on confidence."""
    called = agreement.tally(
        np.where(answers.read, answers.decision.astype(np.float64), np.nan), answers.case
    )
    scored = agreement.tally(answers.score, answers.case)
    found = {
        "percent_agreement": agreement.percent_agreement(called),
        "fleiss_kappa": fleiss.fleiss_kappa(called),
        "gwet_ac1": gwet.ac1(called, categories=2),
        "krippendorff_nominal": krippendorff.alpha(called, "nominal"),
        "krippendorff_ordinal": krippendorff.alpha(scored, "ordinal"),
        "krippendorff_interval": krippendorff.alpha(scored, "interval"),
    }
    names = {
        "percent_agreement": "Two readers gave the same answer to an item",
        "fleiss_kappa": "Agreement beyond chance, Fleiss' kappa",
        "gwet_ac1": "Agreement beyond chance, Gwet's AC1 (steady where one answer is rare)",
        "krippendorff_nominal": "Agreement on decisions, Krippendorff's alpha",
        "krippendorff_ordinal": "Agreement on the order of confidence, Krippendorff's alpha",
        "krippendorff_interval": "Agreement on the value of confidence, Krippendorff's alpha",
    }
    return {key: coefficient_words(names[key], figure).as_json() for key, figure in found.items()}


def coefficient_words(name: str, figure: Figure) -> Figure:
    """The figure with a sentence of the form "name: 0.43 (95% interval 0.32 to 0.54)."."""
    if figure.value is None:
        return figure.saying(f"{name} is not known: {figure.note}")
    tail = f" {figure.note}" if figure.note else ""
    return figure.saying(f"{name}: {figure.value:.2f} ({between(figure, as_percent=False)}).{tail}")


def repeatability_block(repeats: Pairs) -> dict[str, Json]:
    """Whether readers said the same of items shown again."""
    same, kappa, sd = (
        repeatability.agreement(repeats),
        repeatability.kappa(repeats),
        repeatability.score_sd(repeats),
    )
    said = repeatability.sentence(repeats, same)
    return {
        "pairs": len(repeats.reader),
        "readers": len(np.unique(repeats.reader)),
        "agreement": same.saying(said).as_json(),
        "kappa": coefficient_words(
            "Agreement of first and repeated answers beyond chance, Cohen's kappa", kappa
        ).as_json(),
        "score_sd": coefficient_words("Within-reader standard deviation of confidence", sd).as_json(),
        "sentence": said,
    }


def time_block(ratings: Ratings) -> Json:
    """Time per first answer to main items; None where no time is known."""
    main = ratings.main()
    whole = timing.spread(main.seconds)
    if whole is None:
        return None
    synthetic, real = (timing.spread(main.seconds[main.is_synthetic == kind]) for kind in (True, False))
    trend = timing.trend(main)
    places, medians = timing.by_position(main)
    said = (
        f"An item took {whole.median:.1f} seconds (median; half took {whole.low_quartile:.1f} to "
        f"{whole.high_quartile:.1f})."
    )
    change = "How the time changes on the way is not known: " + trend.note
    if trend.value is not None and trend.low is not None and trend.high is not None:
        way = (
            "faster" if trend.high < 1 else "slower" if trend.low > 1 else "neither clearly faster nor slower"
        )
        change = (
            f"Over 100 items the time per item changes by a factor of {trend.value:.2f} "
            f"({between(trend, as_percent=False)}): readers grow {way}."
        )
    return {
        "n": whole.n,
        "median": whole.median,
        "low_quartile": whole.low_quartile,
        "high_quartile": whole.high_quartile,
        "synthetic": spread_json(synthetic),
        "real": spread_json(real),
        "trend": trend.saying(change).as_json(),
        "by_position": {"position": list(places), "median": list(medians)},
        "sentence": f"{said} {change}",
    }


def difficulty_block(ratings: Ratings, answers: Table) -> dict[str, Json]:
    """Every item with the readers it misled, and a summary."""
    found = difficulty.difficulty(answers)
    stratum = dict(zip(ratings.item.tolist(), ratings.stratum.tolist(), strict=True))
    rows: list[Json] = [
        {
            "item": ratings.items[one.item],
            "is_synthetic": one.is_synthetic,
            "stratum": ratings.strata[stratum[one.item]],
            "readers": one.readers,
            "wrong": one.wrong,
            "share_wrong": one.share_wrong,
            "low": one.low,
            "high": one.high,
            "mean_score": one.mean_score,
        }
        for one in found
    ]
    right, wrong = sum(one.wrong == 0 for one in found), sum(one.wrong == one.readers for one in found)
    said = f"{wrong} of {len(found)} items misled every reader who saw them, {right} misled none."
    return {
        "difficulty": rows,
        "difficulty_summary": {
            "items": len(found),
            "everyone_right": right,
            "everyone_wrong": wrong,
            "sentence": said if found else "No item was answered.",
        },
    }


def severity_block(grades: Sequence[Grades]) -> list[Json]:
    """Agreement on each graded question, between readers and with the grade that was asked for."""
    return [_severity(one) for one in grades]


def _severity(grades: Grades) -> dict[str, Json]:
    table, intended, case = _grade_table(grades)
    tallied = agreement.tally(table, case)
    target = weighted_kappa.against_intended(table, intended, case)
    readers = len(table)
    asked = int(np.isfinite(table[:, np.isfinite(intended)]).sum())
    against = accuracy.over_readers(target, n=asked, kind="coefficient")
    figures = {
        "kappa_quadratic": (
            "Two readers' grades, quadratic weighted kappa",
            weighted_kappa.between_readers(table, case, "quadratic"),
        ),
        "kappa_linear": (
            "Two readers' grades, linear weighted kappa",
            weighted_kappa.between_readers(table, case, "linear"),
        ),
        "krippendorff_ordinal": (
            "All readers' grades, Krippendorff's alpha (ordinal)",
            krippendorff.alpha(tallied, "ordinal"),
        ),
        "against_intended": ("Grades against the grade asked for, quadratic weighted kappa", against),
    }
    return {
        "question": grades.question,
        "items": len(np.unique(grades.item)),
        "readers": readers,
        "counts": {
            f"{value:g}": int(n) for value, n in zip(tallied.values, tallied.counts.sum(0), strict=True)
        },
        **{key: coefficient_words(name, figure).as_json() for key, (name, figure) in figures.items()},
    }


def _grade_table(grades: Grades) -> tuple[Numbers, Numbers, Indices]:
    """Grades [R, I] (nan: none; the first of several answers counts), intended grades [I], cases [I]."""
    readers, row = np.unique(grades.reader, return_inverse=True)
    items, where, column = np.unique(grades.item, return_index=True, return_inverse=True)
    table = np.full((len(readers), len(items)), np.nan)
    table[row[::-1], column[::-1]] = grades.grade[::-1]
    case = np.unique(grades.case[where], return_inverse=True)[1] if len(items) else grades.case[where]
    return table, grades.intended[where], case
