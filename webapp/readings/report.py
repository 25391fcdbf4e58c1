"""What the report of an unblinded study says: its answers joined with the truth, analysed and checked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from webapp.readings.checks import checks_of
from webapp.readings.freezing import reading_protocol
from webapp.readings.gathering import (
    Showing,
    counts_at_all,
    grades_of,
    intended_grade,
    ratings_of,
    reader_label,
    showings_of,
)
from webapp.readings.models import Place, PlaceEvent, Reading, ReadingItem
from webapp.readings.protocol import Protocol
from webapp.readings.questions.severity_grade import GRADES, SeverityGrade
from webapp.readings.services_report import SIMULATED
from webapp.readings.services_taking import SET_ASIDE
from webapp.readings.statistics.report import analyse

SCHEMA = 1


def document(reading: Reading) -> dict[str, Any]:
    """Everything that the report says, as plain JSON.

    {"schema": 1, "identity": who, what, when and the protocol's digest; "simulated": "" or the label;
     "analysis": what `statistics.report.analyse` returns; "checks": [{"ok", "sentence"}]; "deviations":
     [sentence]; "primary": {"question", "answers": labels or null (slider)}; "confidence": {"labels",
     "real", "synthetic"}: counts of the answers to counted items; "times": [{"reader", "real",
     "synthetic": {"low", "middle", "high", "n"} or null}]; "severity": [{"question", "labels",
     "counts": [asked for][seen]}]; "attention": [{"reader", "passed", "answered"}]; "readers":
     [{"reader", "state", "experience", "assigned", "answered", "is_late"}]; "items": {label: {"item",
     "number", "role", "arm", "control", "stratum", "case", "result", "source"}}}

    Raises Conflict while the study is blinded.
    """
    showings = showings_of(reading)
    protocol = reading_protocol(reading)
    counted = [showing for showing in showings if not showing.not_counted]
    analysis, undecided = _analysis(reading, showings, protocol)
    places = list(Place.objects.filter(reading=reading, is_auditor=False))
    return {
        "schema": SCHEMA,
        "identity": identity(reading),
        "simulated": SIMULATED if reading.is_simulated else "",
        "analysis": analysis,
        "checks": checks_of(reading, showings),
        "deviations": _deviations(reading, showings, places, protocol, undecided),
        "primary": {"question": protocol.primary.label, "answers": _labels(protocol)},
        "confidence": _confidence(counted, protocol),
        "times": _times(counted, protocol),
        "severity": _severity(counted, protocol),
        "attention": _attention(showings),
        "readers": _readers(reading, places, showings, protocol),
        "items": {showing.label: _item(showing) for showing in showings},
    }


def identity(reading: Reading) -> dict[str, Any]:
    """What a reader of the report must know of the study itself; times are ISO 8601 in UTC."""
    times = ("launched_at", "closed_at", "unblinded_at")
    return {
        "id": str(reading.pk),
        "title": reading.title,
        "summary": reading.summary,
        "version": reading.version,
        "lead": str(reading.owner),
        "protocol_sha256": reading.protocol_sha256,
        "truth_sha256": reading.protocol.get("truth_sha256", ""),
    } | {name: value.isoformat() if (value := getattr(reading, name)) else None for name in times}


# --- analysing

_SCORED = ("auc", "binormal", "roc", "binormal_curve")


def _analysis(
    reading: Reading, showings: Sequence[Showing], protocol: Protocol
) -> tuple[dict[str, Any], int]:
    """The analysis, and how many answers chose no side: those count for the ROC figures alone."""
    ratings, undecided = ratings_of(showings, protocol)
    options: dict[str, Any] = {
        "margin": protocol.margin.value,
        "measure": protocol.margin.measure,
        "alpha": protocol.alpha,
        "protocol": identity(reading),
    }
    grades = grades_of(showings, protocol)
    analysis: dict[str, Any] = dict(analyse(ratings, grades=grades, **options))
    if not undecided:
        return analysis, 0
    everything, _none = ratings_of(showings, protocol, with_undecided=True)
    scored: dict[str, Any] = dict(analyse(everything, **options))
    instead = {
        analysis["auc"]["sentence"]: scored["auc"]["sentence"],
        analysis["equivalence"]["auc"]["sentence"]: scored["equivalence"]["auc"]["sentence"],
    }
    analysis["headline"] = [instead.get(sentence, sentence) for sentence in analysis["headline"]]
    analysis["auc"] = scored["auc"]
    analysis["equivalence"]["auc"] = scored["equivalence"]["auc"]
    of_reader = {reader["reader"]: reader for reader in scored["readers"]}
    for reader in analysis["readers"]:
        reader |= {name: of_reader[reader["reader"]][name] for name in _SCORED}
    return analysis, undecided


# --- what the statistics do not tell


def _labels(protocol: Protocol) -> list[str] | None:
    choices = protocol.primary.kind.widget().get("choices")
    return [str(choice["label"]) for choice in choices] if choices else None


def _confidence(counted: Iterable[Showing], protocol: Protocol) -> dict[str, Any]:
    """How often each answer was chosen; a slider's answers in tenths."""
    labels = _labels(protocol)
    tenths = [f"{10 * n}–{10 * n + 9}" for n in range(9)] + ["90–100"]
    counts = {True: Counter[int](), False: Counter[int]()}
    for showing in counted:
        said = showing.final(protocol.primary.name)
        if said is not None:
            score = int(said.value["score"])
            counts[showing.is_synthetic][score - 1 if labels else min(score // 10, 9)] += 1
    places = range(len(labels or tenths))
    return {
        "labels": labels or tenths,
        "real": [counts[False][place] for place in places],
        "synthetic": [counts[True][place] for place in places],
    }


def _times(counted: Iterable[Showing], protocol: Protocol) -> list[dict[str, Any]]:
    seconds: dict[str, dict[bool, list[float]]] = defaultdict(lambda: {True: [], False: []})
    for showing in counted:
        said = showing.final(protocol.primary.name)
        if said is not None:
            seconds[showing.reader][showing.is_synthetic].append(said.seconds)
    return [
        {"reader": reader, "real": _spread(both[False]), "synthetic": _spread(both[True])}
        for reader, both in seconds.items()
    ]


def _spread(seconds: list[float]) -> dict[str, Any] | None:
    if not seconds:
        return None
    low, middle, high = (float(value) for value in np.quantile(seconds, (0.25, 0.5, 0.75)))
    return {"low": low, "middle": middle, "high": high, "n": len(seconds)}


def _severity(counted: Sequence[Showing], protocol: Protocol) -> list[dict[str, Any]]:
    found = []
    for question in protocol.questions:
        if not isinstance(question.kind, SeverityGrade):
            continue
        counts = np.zeros((len(GRADES), len(GRADES)), int)
        for showing in counted:
            said, asked = showing.final(question.name), intended_grade(showing, question)
            if said is not None and np.isfinite(asked):
                counts[int(asked), int(question.kind.score(said.value) or 0)] += 1
        if counts.any():
            labels = [str(label) for label in GRADES.values()]
            found.append({"question": question.label, "labels": labels, "counts": counts.tolist()})
    return found


def _attention(showings: Iterable[Showing]) -> list[dict[str, Any]]:
    passed: dict[str, list[bool]] = defaultdict(list)
    for showing in showings:
        if counts_at_all(showing) and (outcome := showing.passed()) is not None:
            passed[showing.reader].append(outcome)
    return [
        {"reader": reader, "passed": sum(outcomes), "answered": len(outcomes)}
        for reader, outcomes in passed.items()
    ]


def _readers(
    reading: Reading, places: Sequence[Place], showings: Sequence[Showing], protocol: Protocol
) -> list[dict[str, Any]]:
    assigned, answered = Counter[Any](), Counter[Any]()
    for showing in showings:
        assigned[showing.place.pk] += 1
        answered[showing.place.pk] += showing.final(protocol.primary.name) is not None
    return [
        {
            "reader": reader_label(place),
            "state": str(place.get_state_display()),
            "experience": place.experience,
            "assigned": assigned[place.pk],
            "answered": answered[place.pk],
            "is_late": _is_late(reading, place),
        }
        for place in places
    ]


def _item(showing: Showing) -> dict[str, Any]:
    truth = showing.truth
    return {
        "item": str(showing.item.pk),
        "number": showing.item.number,
        "role": showing.item.role,
        "arm": truth.arm,
        "control": truth.control,
        "stratum": truth.stratum,
        "cluster": showing.cluster,
        "case": str(truth.case_id) if truth.case_id else None,
        "result": str(truth.result_id) if truth.result_id else None,
        "source": truth.source,
    }


# --- what went otherwise than a perfect study


def _is_late(reading: Reading, place: Place) -> bool:
    frozen = {reader["number"] for reader in reading.protocol.get("readers", [])}
    return place.number not in frozen


def _deviations(
    reading: Reading,
    showings: Sequence[Showing],
    places: Sequence[Place],
    protocol: Protocol,
    undecided: int,
) -> list[str]:
    """Plain sentences: first what departs from the plan, then what is left out by design."""
    found = _about_readers(reading, places) + _about_answers(showings, places, protocol, undecided)
    note = reading.preparation.acceptance.strip()
    if note:
        found.append(
            _("The lead accepted findings of the leak audit in writing: “%(note)s”") % {"note": note}
        )
    repeats = sum(showing.repeat_of is not None for showing in showings if counts_at_all(showing))
    roles = Counter(showing.item.role for showing in showings)
    if repeats:
        found.append(
            _("%(count)d repeated showings enter no main figure; they tell the repeatability alone.")
            % {"count": repeats}
        )
    if any(showing.truth.control for showing in showings):
        found.append(_("Controls enter no main figure and are reported apart."))
    if roles[ReadingItem.Role.ATTENTION]:
        found.append(_("Attention checks enter no main figure and are reported apart."))
    if roles[ReadingItem.Role.TRAINING]:
        found.append(_("Training items enter no figure at all."))
    return found


def _about_readers(reading: Reading, places: Sequence[Place]) -> list[str]:
    found = []
    late = [reader_label(place) for place in places if _is_late(reading, place)]
    gone = [reader_label(place) for place in places if place.state == Place.State.WITHDRAWN]
    ended = (Place.State.FINISHED, Place.State.WITHDRAWN)
    open_ = [reader_label(place) for place in places if place.state not in ended]
    seen = [f"{reader_label(place)} ({', '.join(place.may_view)})" for place in places if place.may_view]
    if seen:
        found.append(
            _("May look into datasets that real items came from, as the lead confirmed: %(who)s.")
            % {"who": "; ".join(seen)}
        )
    if late:
        found.append(
            _("Invited after the launch, with an order made from the frozen seed: %(who)s.")
            % {"who": ", ".join(late)}
        )
    if gone:
        found.append(
            _("Withdrawn, and counted in no figure (the answers are in the exports): %(who)s.")
            % {"who": ", ".join(gone)}
        )
    if open_:
        found.append(
            _("Not finished when the study was closed; the answers given count: %(who)s.")
            % {"who": ", ".join(open_)}
        )
    return found


def _about_answers(
    showings: Sequence[Showing], places: Sequence[Place], protocol: Protocol, undecided: int
) -> list[str]:
    found = []
    main = [showing for showing in showings if not showing.not_counted]
    missing = sum(showing.final(protocol.primary.name) is None for showing in main)
    revised = sum(any(said.revision for said in showing.said) for showing in main)
    aside = PlaceEvent.objects.filter(place__in=places, kind=SET_ASIDE).count()
    if missing:
        found.append(
            ngettext(
                "%(missing)d of %(all)d planned answers was never given.",
                "%(missing)d of %(all)d planned answers were never given.",
                missing,
            )
            % {"missing": missing, "all": len(main)}
        )
    if undecided:
        found.append(
            _("%(count)d answers chose no side: they count for the ROC curves and for nothing else.")
            % {"count": undecided}
        )
    if revised:
        found.append(
            _("%(count)d answers were changed by going back; the last one counts, all are in the exports.")
            % {"count": revised}
        )
    if aside:
        found.append(
            _("%(count)d answers came from a page that another had replaced; they were kept and not counted.")
            % {"count": aside}
        )
    return found
