"""The whole analysis of a reader study as plain JSON: every figure with its interval and a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from webapp.readings.statistics import repeatability, report_agreement, report_readers, report_study
from webapp.readings.statistics.data import Grades, Ratings, Role, Table, table
from webapp.readings.statistics.equivalence import Equivalence
from webapp.readings.statistics.figure import Figure, Json
from webapp.readings.statistics.formulas import FORMULAS


def analyse(
    ratings: Ratings,
    *,
    margin: float,
    measure: str = "accuracy",
    alpha: float = 0.05,
    grades: Sequence[Grades] = (),
    protocol: Mapping[str, Json] | None = None,
) -> dict[str, Json]:
    """Analyse a closed study. `margin` is the preregistered equivalence margin (0.10: 40% to 60% counts as
    chance), `measure` which figure it was set on ("accuracy" or "auc"), `alpha` the level of that test,
    `grades` the graded questions, `protocol` facts that are passed through unread (title, hash, dates).
    Nothing is drawn at random: the same answers give the same report.

    Everything is JSON: dict, list, str, int, float, bool, None; never nan. FIGURE stands for
    {"value", "low", "high": number or null, "level": 0.95, "n": answers, "method": str,
     "note": why something is null or "", "sentence": str, "parts": {name: number or null}}.
    Positive class: synthetic. Main figures use first answers to main items; repeats, controls and
    attention checks have blocks of their own.

    {
      "schema": 1,
      "protocol": as given,
      "settings": {"margin", "measure", "alpha"},
      "design": {"readers", "items", "synthetic", "real", "cases", "answers", "repeats", "controls",
                 "attention": int, "missing": answers not given, "balanced": bool, "sentence",
                 "rules": [sentence, ...]},
      "headline": [sentence, ...],                         the three to five that open the report
      "accuracy", "sensitivity", "specificity", "balanced_accuracy": FIGURE over readers
                  (one reader: that reader's),
      "auc": FIGURE, parts has p_value against 0.5,
      "strata": [{"stratum", "accuracy": FIGURE, "auc": FIGURE}],        [] with one stratum
      "equivalence": {"accuracy": TEST, "auc": TEST} with TEST =
                  {"measure", "estimate", "low", "high": the 1 - 2 alpha interval, "margin", "alpha",
                   "p_lower", "p_upper", "p_value", "p_difference": two-sided against 0.5,
                   "equivalent": bool or null, "different": bool or null, "verdict": "equivalent" |
                   "different" | "equivalent and different" | "inconclusive" | "not known",
                   "method", "preregistered": bool, "sentence"},
      "readers": [{"reader", "answers", "synthetic", "real", "missing",
                   "confusion": {"true_positive", "false_negative", "false_positive", "true_negative"},
                   "accuracy", "sensitivity", "specificity": FIGURE (Wilson),
                   "accuracy_exact": FIGURE (Clopper-Pearson),
                   "d_prime", "criterion": FIGURE, "auc": FIGURE (DeLong),
                   "binormal": {"a", "b", "auc", "standard_error", "low", "high", "categories", "note"},
                   "roc": {"fpr", "tpr", "threshold": [number or null]} or null,
                   "binormal_curve": {"fpr", "tpr"} or null,
                   "seconds": {"median", "low_quartile", "high_quartile", "n"} or null,
                   "repeats": {"pairs", "same"}, "sentence"}],
      "agreement": {"fleiss_kappa", "gwet_ac1", "krippendorff_nominal": FIGURE (decisions),
                    "krippendorff_ordinal", "krippendorff_interval": FIGURE (confidence),
                    "percent_agreement": FIGURE},
      "repeatability": {"pairs", "readers", "agreement", "kappa", "score_sd": FIGURE, "sentence"},
      "time": {"n", "median", "low_quartile", "high_quartile",
               "synthetic", "real": {"median", "low_quartile", "high_quartile", "n"} or null,
               "trend": FIGURE (change of seconds per item per 100 items, as a ratio),
               "by_position": {"position": [int], "median": [number]}, "sentence"} or null,
      "difficulty": [{"item", "is_synthetic", "stratum", "readers", "wrong", "share_wrong", "low", "high",
                      "mean_score": number or null}], the most mistaken first,
      "difficulty_summary": {"sentence", "everyone_right", "everyone_wrong", "items": int},
      "controls": {"positive", "negative", "attention": {"items", "answers",
                   "called_synthetic" (attention: "right"): FIGURE, "sentence"} or null},
      "severity": [{"question", "items", "readers", "kappa_quadratic", "kappa_linear" (mean over pairs of
                    readers), "krippendorff_ordinal", "against_intended" (quadratic kappa): FIGURE,
                    "counts": {grade: number}}],
      "formulas": [{"measure", "formula", "source"}]
    }

    Raises ValueError for a margin outside (0, 0.5), an alpha outside (0, 0.5) or an unknown measure.
    An empty study is no error: its figures are null and their sentences say so.
    """
    if not 0 < margin < 0.5 or not 0 < alpha < 0.5:
        raise ValueError(f"expected margin and alpha between 0 and 0.5, got {margin} and {alpha}")
    if measure not in ("accuracy", "auc"):
        raise ValueError(f"expected a measure of accuracy or auc, got {measure}")
    answers = table(ratings.main())
    repeats = repeatability.pairs(ratings.select(ratings.role == Role.MAIN))
    figures = report_study.figures(answers)
    area = report_study.auc(answers)
    tests = {
        "accuracy": report_study.accuracy_equivalence(answers, margin=margin, alpha=alpha),
        "auc": report_study.auc_equivalence(answers, margin=margin, alpha=alpha),
    }
    together = report_agreement.agreement_block(answers)
    return {
        "schema": 1,
        "protocol": dict(protocol or {}),
        "settings": {"margin": margin, "measure": measure, "alpha": alpha},
        "design": _design(ratings, answers),
        "headline": _headline(figures, area, tests[measure], together),
        **{name: figure.as_json() for name, figure in figures.items()},
        "auc": area.as_json(),
        "strata": report_study.strata(ratings),
        "equivalence": {name: test.as_json(preregistered=name == measure) for name, test in tests.items()},
        "readers": report_readers.readers(ratings, answers, repeats),
        "agreement": together,
        "repeatability": report_agreement.repeatability_block(repeats),
        "time": report_agreement.time_block(ratings),
        **report_agreement.difficulty_block(ratings, answers),
        "controls": report_study.controls(ratings),
        "severity": report_agreement.severity_block(grades),
        "formulas": [
            {"measure": name, "formula": formula, "source": source} for name, formula, source in FORMULAS
        ],
    }


def _design(ratings: Ratings, answers: Table) -> dict[str, Json]:
    readers, items = answers.read.shape
    synthetic = int(answers.truth.sum())
    cases = len(np.unique(answers.case))
    missing = int((~answers.read).sum())
    repeats = int((ratings.repeat & (ratings.role == Role.MAIN)).sum())
    controls = np.isin(ratings.role, (Role.POSITIVE_CONTROL, Role.NEGATIVE_CONTROL))
    rules = [
        "Synthetic is the positive class: sensitivity is the share of synthetic items called synthetic.",
        "Only a reader's first showing of an item counts; later showings are used for repeatability alone.",
        "Control items and attention checks are reported apart and enter no main figure.",
    ]
    if cases < items:
        rules.append(
            "Some cases have several items; every interval lets the items of a case depend on each other."
        )
    if missing:
        rules.append(
            f"{missing} answers were not given. Each reader's figures come from what they read, every "
            f"reader weighs "
            "the same, and nothing is filled in."
        )
    if synthetic * 2 != items:
        rules.append(
            "There are not as many synthetic items as real ones, so guessing need not give 50% accuracy: "
            "where a "
            "reader's numbers differ, equivalence is tested on balanced accuracy."
        )
    said = (
        f"{readers} {_plural(readers, 'reader')} read {items} {_plural(items, 'item')} ({synthetic} "
        f"synthetic, "
        f"{items - synthetic} real) of {cases} {_plural(cases, 'case')}: {int(answers.read.sum())} answers."
    )
    return {
        "readers": readers,
        "items": items,
        "synthetic": synthetic,
        "real": items - synthetic,
        "cases": cases,
        "answers": int(answers.read.sum()),
        "repeats": repeats,
        "controls": int((controls & ~ratings.repeat).sum()),
        "attention": int(((ratings.role == Role.ATTENTION) & ~ratings.repeat).sum()),
        "missing": missing,
        "balanced": missing == 0,
        "sentence": said,
        "rules": list(rules),
    }


def _plural(number: int, noun: str) -> str:
    return noun if number == 1 else noun + "s"


def _headline(
    figures: Mapping[str, Figure], area: Figure, test: Equivalence, together: Mapping[str, Json]
) -> list[Json]:
    said = [figures["accuracy"].sentence, area.sentence, test.sentence]
    kappa = together["fleiss_kappa"]
    if isinstance(kappa, dict) and kappa["value"] is not None:
        said.append(str(kappa["sentence"]))
    return list(said)
