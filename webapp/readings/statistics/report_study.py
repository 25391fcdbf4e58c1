"""The part of the report that speaks of the study as a whole: readers and cases as a random draw."""

from __future__ import annotations

import numpy as np

from webapp.readings.statistics import accuracy, equivalence, jackknife, report_readers, roc
from webapp.readings.statistics.data import Ratings, Role, Table, table
from webapp.readings.statistics.equivalence import Equivalence
from webapp.readings.statistics.figure import Figure, Json, between, chance, percent
from webapp.readings.statistics.jackknife import LeftOut

NOBODY = "nobody has answered yet."
NAMES = {
    "accuracy": "Accuracy (share of right answers)",
    "sensitivity": "Sensitivity (synthetic items called synthetic)",
    "specificity": "Specificity (real items called real)",
    "balanced_accuracy": "Balanced accuracy (mean of sensitivity and specificity)",
}


def figures(answers: Table) -> dict[str, Figure]:
    """Accuracy, sensitivity, specificity and balanced accuracy over readers; of the one reader where there
    is one."""
    n = int(answers.read.sum())
    if not n:
        return {name: Figure(None, note=NOBODY, sentence=f"{said}: {NOBODY}") for name, said in NAMES.items()}
    left_out = {name: measure(answers) for name, measure in accuracy.MEASURES.items()}
    if len(answers.readers) == 1:
        found = report_readers.shares(answers, left_out, 0)
        return found | {"balanced_accuracy": _balanced_of_one(left_out["balanced_accuracy"], n)}
    made = {}
    for name, values in left_out.items():
        figure = accuracy.over_readers(values, n=n)
        readers = int(accuracy.usable(values).sum())
        said = f"{NAMES[name]}: {percent(figure.value)} over {readers} readers ({between(figure)})."
        made[name] = figure.saying(
            said if figure.value is not None else f"{NAMES[name]} is not known: {figure.note}"
        )
    return made


def _balanced_of_one(left_out: LeftOut, n: int) -> Figure:
    value, error = float(left_out.value[0]), float(np.sqrt(jackknife.covariance(left_out)[0, 0]))
    method = "one reader; case jackknife, normal"
    if not (np.isfinite(value) and np.isfinite(error)):
        return Figure(None, n=n, method=method, note="Needs two synthetic and two real cases.").saying(
            "Balanced accuracy is not known."
        )
    if error == 0:
        figure = Figure(value, n=n, method=method, note="The answers leave no variance to estimate.")
        return figure.saying(f"{NAMES['balanced_accuracy']}: {percent(value)} ({between(figure)}).")
    low, high = max(value - 1.959963984540054 * error, 0.0), min(value + 1.959963984540054 * error, 1.0)
    figure = Figure(value, low, high, n=n, method=method, parts={"standard_error": error})
    return figure.saying(f"{NAMES['balanced_accuracy']}: {percent(value)} ({between(figure)}).")


def areas(answers: Table) -> LeftOut:
    """Each reader's area under the empirical ROC curve and the same without each case."""
    return jackknife.area(answers.score, answers.truth, answers.case)


def auc(answers: Table) -> Figure:
    """The mean area over readers (one reader: theirs), with the p-value against 0.5 in `parts`."""
    n = int(np.isfinite(answers.score).sum())
    if not n:
        note = "Readers gave no confidence." if answers.read.any() else "Nobody has answered yet."
        return Figure(None, note=note, sentence=f"The area under the ROC curve is not known: {note}")
    if len(answers.readers) == 1:
        return report_readers.auc_of(answers, 0)
    left_out = areas(answers)
    figure = accuracy.over_readers(left_out, n=n, kind="area")
    found = accuracy.study(left_out)
    if figure.value is None or found is None:
        return figure.saying("The area under the ROC curve is not known: " + figure.note)
    p = found.two_sided(0.5)
    said = (
        f"Area under the ROC curve: {figure.value:.3f} over {found.readers} readers "
        f"({between(figure, as_percent=False)}; {chance(p)} against 0.5, which is guessing)."
    )
    parts = dict(figure.parts) | {"p_value": p}
    return Figure(
        figure.value, figure.low, figure.high, figure.level, n, figure.method, figure.note, parts=parts
    ).saying(said)


def accuracy_equivalence(answers: Table, *, margin: float, alpha: float) -> Equivalence:
    """TOST of accuracy. Where a reader saw unequal numbers of synthetic and real items, guessing does not
    bring accuracy to 1/2, and balanced accuracy is tested instead."""
    if not len(answers.readers):
        return equivalence.unknown("accuracy", margin=margin, alpha=alpha)
    four = [accuracy.counts(answers, row) for row in range(len(answers.readers))]
    equal = all(one.synthetic == one.real for one in four)
    name = "accuracy" if equal else "balanced accuracy"
    left_out = accuracy.accuracy(answers) if equal else accuracy.balanced(answers)
    if len(four) > 1:
        found = accuracy.study(left_out)
        if found is None:
            return equivalence.unknown(name, margin=margin, alpha=alpha)
        return equivalence.many_readers(name, found, margin=margin, alpha=alpha)
    n = four[0].synthetic + four[0].real
    if equal and n and int(left_out.counts[0].sum()) == n:
        return equivalence.exact_binomial(four[0].right, n, margin=margin, alpha=alpha)
    return _of_one_reader(name, left_out, margin, alpha, "TOST, one reader; case jackknife")


def auc_equivalence(answers: Table, *, margin: float, alpha: float) -> Equivalence:
    """TOST of the area under the ROC curve, over readers or of the one reader."""
    if len(answers.readers) == 1:
        keep = np.isfinite(answers.score[0])
        score, truth, case = answers.score[0, keep], answers.truth[keep], answers.case[keep]
        if not (truth.any() and (~truth).any()):
            return equivalence.unknown("auc", margin=margin, alpha=alpha)
        variance = roc.delong_variance(score, truth, case)
        return equivalence.with_standard_error(
            "auc",
            roc.auc(score, truth),
            float(np.sqrt(variance)) if variance > 0 else 0.0,
            roc.degrees(truth, case),
            margin=margin,
            alpha=alpha,
            method="TOST, one reader; DeLong",
        )
    found = accuracy.study(areas(answers))
    if found is None:
        return equivalence.unknown("auc", margin=margin, alpha=alpha)
    return equivalence.many_readers("auc", found, margin=margin, alpha=alpha)


def _of_one_reader(name: str, left_out: LeftOut, margin: float, alpha: float, method: str) -> Equivalence:
    value, variance = float(left_out.value[0]), float(jackknife.covariance(left_out)[0, 0])
    if not (np.isfinite(value) and np.isfinite(variance)):
        return equivalence.unknown(name, margin=margin, alpha=alpha)
    degrees = max(int(left_out.counts[0].sum()) - 1, 1)
    return equivalence.with_standard_error(
        name, value, float(np.sqrt(variance)), degrees, margin=margin, alpha=alpha, method=method
    )


def strata(ratings: Ratings) -> list[Json]:
    """Accuracy and area within each stratum, in the study's order; [] where there is one stratum."""
    main = ratings.main()
    found: list[Json] = []
    present = np.unique(main.stratum)
    for number in present if len(present) > 1 else []:
        answers = table(main.select(main.stratum == number))
        found.append(
            {
                "stratum": ratings.strata[int(number)],
                "accuracy": figures(answers)["accuracy"].as_json(),
                "auc": auc(answers).as_json(),
            }
        )
    return found


def controls(ratings: Ratings) -> dict[str, Json]:
    """Known-bad synthetic, reconstructed real and attention items: did readers do with them what they
    should?"""
    return {
        "positive": _control(ratings, Role.POSITIVE_CONTROL, "known-bad synthetic items", "called synthetic"),
        "negative": _control(ratings, Role.NEGATIVE_CONTROL, "reconstructed real items", "called synthetic"),
        "attention": _control(ratings, Role.ATTENTION, "attention checks", "right"),
    }


def _control(ratings: Ratings, role: Role, things: str, verb: str) -> Json:
    own = ratings.select(~ratings.repeat & (ratings.role == role))
    if not len(own):
        return None
    answers = table(own)
    wanted = answers.correct if role == Role.ATTENTION else answers.decision.astype(np.float64)
    success = np.where(answers.read, wanted, np.nan)
    left_out = jackknife.proportion(success, answers.case)
    n = len(own)
    if accuracy.usable(left_out).sum() >= 2:
        figure = accuracy.over_readers(left_out, n=n)
    else:
        figure = accuracy.one_reader(left_out, 0, int(np.nansum(success[0])), int(answers.read[0].sum()))
    said = f"Of the {things}, {percent(figure.value)} were {verb} ({between(figure)}; {n} answers)."
    key = "right" if role == Role.ATTENTION else "called_synthetic"
    return {
        "items": len(answers.items),
        "answers": n,
        key: figure.saying(said).as_json(),
        "sentence": said,
    }
