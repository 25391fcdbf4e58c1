"""The part of the report that looks at each reader alone."""

from __future__ import annotations

import math

import numpy as np

from webapp.readings.statistics import accuracy, detection, proportion, roc, timing
from webapp.readings.statistics.accuracy import Counts
from webapp.readings.statistics.binormal import binormal
from webapp.readings.statistics.data import Flags, Indices, Numbers, Ratings, Table
from webapp.readings.statistics.figure import Figure, Json, between, finite, percent
from webapp.readings.statistics.jackknife import LeftOut
from webapp.readings.statistics.repeatability import Pairs

CURVE = np.linspace(0.0, 1.0, 101)


def readers(ratings: Ratings, answers: Table, repeats: Pairs) -> list[Json]:
    """One entry per reader who answered a main item; the shape is in `report.analyse`."""
    left_out = {name: measure(answers) for name, measure in accuracy.MEASURES.items()}
    return [_reader(ratings, answers, repeats, left_out, row) for row in range(len(answers.readers))]


def shares(answers: Table, left_out: dict[str, LeftOut], row: int) -> dict[str, Figure]:
    """Accuracy, sensitivity and specificity of one reader, each with its sentence."""
    four = accuracy.counts(answers, row)
    named = {
        "accuracy": (four.right, four.synthetic + four.real, "answers", "right"),
        "sensitivity": (four.true_positive, four.synthetic, "synthetic items", "recognised as synthetic"),
        "specificity": (four.true_negative, four.real, "real items", "recognised as real"),
    }
    found = {}
    for name, (right, n, things, verb) in named.items():
        figure = accuracy.one_reader(left_out[name], row, right, n)
        said = f"{right} of {n} {things} {verb}: {percent(figure.value)} ({between(figure)})."
        found[name] = figure.saying(said if n else f"No {things} were read.")
    return found


def auc_of(answers: Table, row: int) -> Figure:
    """One reader's empirical area with DeLong's interval and its sentence."""
    score, truth, case = _scores(answers, row)
    figure = roc.auc_figure(score, truth, case)
    if figure.value is None:
        return figure.saying("No area under the ROC curve: " + figure.note)
    return figure.saying(
        f"Shown one synthetic and one real item, the confidence ranks them rightly {percent(figure.value)} "
        f"of the "
        f"time (area under the ROC curve {figure.value:.3f}, {between(figure, as_percent=False)})."
    )


def _scores(answers: Table, row: int) -> tuple[Numbers, Flags, Indices]:
    keep = np.isfinite(answers.score[row])
    return answers.score[row, keep], answers.truth[keep], answers.case[keep]


def _reader(
    ratings: Ratings, answers: Table, repeats: Pairs, left_out: dict[str, LeftOut], row: int
) -> dict[str, Json]:
    name = ratings.readers[int(answers.readers[row])]
    four = accuracy.counts(answers, row)
    n = four.synthetic + four.real
    figures = shares(answers, left_out, row)
    told = detection.detection(four.true_positive, four.synthetic, four.false_positive, four.real)
    exact = proportion.exact(four.right, n)
    own = repeats.reader == answers.readers[row]
    main = ratings.main()
    times = timing.spread(main.seconds[main.reader == answers.readers[row]])
    return {
        "reader": name,
        "answers": n,
        "synthetic": four.synthetic,
        "real": four.real,
        "missing": len(answers.items) - n,
        "confusion": {
            "true_positive": four.true_positive,
            "false_negative": four.false_negative,
            "false_positive": four.false_positive,
            "true_negative": four.true_negative,
        },
        **{key: figure.as_json() for key, figure in figures.items()},
        "accuracy_exact": exact.saying(f"Exact binomial: {between(exact)}.").as_json(),
        "d_prime": told.d_prime.saying(_d_prime_words(told.d_prime)).as_json(),
        "criterion": told.criterion.saying(_criterion_words(told.criterion)).as_json(),
        "auc": auc_of(answers, row).as_json(),
        **_curves(answers, row),
        "seconds": spread_json(times),
        "repeats": {"pairs": int(own.sum()), "same": int(repeats.same[own].sum())},
        "sentence": _sentence(name, four, figures["accuracy"]),
    }


def _curves(answers: Table, row: int) -> dict[str, Json]:
    score, truth, _ = _scores(answers, row)
    fit = binormal(score, truth)
    curve = fit.curve(CURVE)
    drawn: Json = None
    if curve is not None:
        drawn = {"fpr": [float(x) for x in CURVE], "tpr": [float(y) for y in curve]}
    steps: Json = None
    if truth.any() and (~truth).any():
        found = roc.points(score, truth)
        steps = {
            "fpr": [float(x) for x in found.fpr],
            "tpr": [float(y) for y in found.tpr],
            "threshold": [None if math.isinf(t) else float(t) for t in found.threshold],
        }
    return {
        "binormal": {
            "a": finite(fit.a),
            "b": finite(fit.b),
            "auc": finite(fit.auc),
            "standard_error": finite(fit.standard_error),
            "low": finite(fit.low),
            "high": finite(fit.high),
            "categories": fit.categories,
            "note": fit.note,
        },
        "roc": steps,
        "binormal_curve": drawn,
    }


def spread_json(found: timing.Spread | None) -> Json:
    """The spread of times as JSON, null where none is known."""
    if found is None:
        return None
    return {
        "median": found.median,
        "low_quartile": found.low_quartile,
        "high_quartile": found.high_quartile,
        "n": found.n,
    }


def _d_prime_words(figure: Figure) -> str:
    if figure.value is None:
        return "Sensitivity d' is not known: " + figure.note
    return f"d' {figure.value:.2f} ({between(figure, as_percent=False)}); 0 is guessing."


def _criterion_words(figure: Figure) -> str:
    if figure.value is None or figure.low is None or figure.high is None:
        return "The criterion is not known: " + figure.note
    lean = "no clear leaning"
    if figure.low > 0:
        lean = "leans to calling items real"
    elif figure.high < 0:
        lean = "leans to calling items synthetic"
    return f"Criterion {figure.value:.2f} ({between(figure, as_percent=False)}): {lean}."


def _sentence(name: str, four: Counts, figure: Figure) -> str:
    n = four.synthetic + four.real
    if figure.low is None or figure.high is None:
        return f"{name} answered no item."
    if figure.low > 0.5:
        verdict = "better than chance"
    elif figure.high < 0.5:
        verdict = "worse than chance"
    else:
        verdict = "not shown to differ from chance, which does not show that they guess"
    share = f"{four.right} of {n} items ({percent(figure.value)}, {between(figure)})"
    return f"{name} was right on {share}: {verdict}."
