"""An unblinded study as files: one tidy CSV, iMRMC, JSON, and the numbers behind every figure.

docs/readings.md lists every column. No export names a reader, and patients are `Case 1`, `Case 2` ...;
the JSON alone also holds the truth as it was committed, with the datasets' pseudonyms, so that anybody can
check its digest.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from webapp.core.permissions import require
from webapp.core.services import audit_record
from webapp.jobs.downloads import archive
from webapp.readings.figures import FIGURES
from webapp.readings.freezing import reading_protocol, truth_text
from webapp.readings.gathering import Said, Showing, require_unblinded, showings_of
from webapp.readings.models import Place, Reading, ReadingReport
from webapp.readings.protocol import Protocol
from webapp.readings.services_report import SIMULATED, report_latest

MODALITY = "images"
"""The one modality of the iMRMC file: iMRMC compares modalities, and a Turing test has one."""

TIDY = (
    "study",
    "version",
    "protocol_sha256",
    "simulated",
    "reader",
    "profession",
    "years",
    "synthetic_seen",
    "session",
    "block",
    "position",
    "item",
    "role",
    "control",
    "arm",
    "stratum",
    "case",
    "repeat",
    "repeats_position",
    "question",
    "question_type",
    "answer",
    "score",
    "called_synthetic",
    "correct",
    "revision",
    "final",
    "seconds",
    "answered_at",
    "counted",
    "not_counted_because",
)


@dataclass(frozen=True)
class Export:
    """One kind of file. `make` gets the study and its latest report."""

    label: str | Promise
    ending: str
    content_type: str
    make: Callable[[Reading, ReadingReport], bytes]


@dataclass(frozen=True)
class File:
    """A finished export."""

    name: str
    content_type: str
    content: bytes


def reading_export(*, user: Any, reading: Reading, kind: str) -> File:
    """One export of an unblinded study, noted in the audit trail.

    Raises Http404 for whoever may not see the study or for an unknown kind, Conflict while it is blinded
    or has no report yet.
    """
    require(user, "view", reading)
    require_unblinded(reading)
    require(user, "export", reading)
    export = EXPORTS[kind]
    content = export.make(reading, report_latest(reading))
    audit_record(actor=user, action="reading.exported", obj=reading, detail={"kind": kind})
    return File(f"{_stem(reading)}-{kind}.{export.ending}", export.content_type, content)


def _stem(reading: Reading) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", reading.title.lower()).strip("-")[:40].strip("-") or "study"
    return f"{words}-v{reading.version}" + ("-simulated" if reading.is_simulated else "")


# --- tables that no spreadsheet takes for formulas


FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def safe(cell: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets an apostrophe before it (OWASP); numbers stay."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """Comma-separated UTF-8 after RFC 4180; an unknown value is an empty cell."""
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([["" if cell is None else safe(cell) for cell in row] for row in rows])
    return written.getvalue().encode()


# --- the tidy file


def tidy(reading: Reading, _report: ReadingReport) -> bytes:
    """One row per answer and revision, and one (without an answer) per primary question left open."""
    protocol = reading_protocol(reading)
    rows: list[dict[str, Any]] = []
    for showing in showings_of(reading):
        shown = _shown(reading, showing)
        rows += [shown | _answer(showing, said, protocol) for said in showing.said]
        if showing.final(protocol.primary.name) is None:
            rows.append(shown | _unanswered(showing, protocol))
    return table(TIDY, [[row.get(column) for column in TIDY] for row in rows])


def _shown(reading: Reading, showing: Showing) -> dict[str, Any]:
    truth = showing.truth
    return {
        "study": reading.title,
        "version": reading.version,
        "protocol_sha256": reading.protocol_sha256,
        "simulated": SIMULATED if reading.is_simulated else "",
        "reader": showing.reader,
        **{name: showing.place.experience.get(name) for name in ("profession", "years", "synthetic_seen")},
        "session": showing.assignment.session,
        "block": showing.assignment.block,
        "position": showing.position,
        "item": showing.label,
        "role": showing.item.role,
        "control": truth.control or "none",
        "arm": truth.arm,
        "stratum": truth.stratum,
        "case": showing.cluster,
        "repeat": int(showing.repeat_of is not None),
        "repeats_position": showing.repeat_of,
    }


def _answer(showing: Showing, said: Said, protocol: Protocol) -> dict[str, Any]:
    question = protocol.question(said.question)
    if question is None:
        raise ValueError(f"expected a question of the protocol, got {said.question!r}")
    called = said.value.get("synthetic")
    why = showing.not_counted or ("" if said.is_final else "revised later")
    return {
        "question": question.name,
        "question_type": question.type,
        "answer": question.kind.words(said.value),
        "score": question.kind.score(said.value),
        "called_synthetic": None if called is None else int(called),
        "correct": None if called is None else int(called == showing.is_synthetic),
        "revision": said.revision,
        "final": int(said.is_final),
        "seconds": round(said.seconds, 3),
        "answered_at": said.at.astimezone(UTC).isoformat(timespec="seconds"),
        "counted": int(not why),
        "not_counted_because": why,
    }


def _unanswered(showing: Showing, protocol: Protocol) -> dict[str, Any]:
    return {
        "question": protocol.primary.name,
        "question_type": protocol.primary.type,
        "counted": 0,
        "not_counted_because": showing.not_counted or "not answered",
    }


# --- iMRMC


def imrmc(reading: Reading, _report: ReadingReport) -> bytes:
    """The scores of counted items as the FDA's iMRMC and RJafroc read them (user manual, section 4.1.1).

    After free text come N0, N1, NR and NM, then `BEGIN DATA:`, then `readerID,caseID,modalityID,score`:
    one row per case with reader -1 and the truth (1: synthetic), one per score. A case is an item.
    """
    protocol = reading_protocol(reading)
    truth: dict[int, int] = {}
    scores: list[tuple[int, int, float]] = []
    for showing in showings_of(reading):
        said = None if showing.not_counted else showing.final(protocol.primary.name)
        if said is not None:
            number = showing.item.number or 0
            truth[number] = int(showing.is_synthetic)
            scores.append((showing.place.number, number, protocol.primary.kind.score(said.value) or 0.0))
    lines = [
        _header(f"Study {reading.title}, version {reading.version}"),
        _header(f"Protocol SHA-256 {reading.protocol_sha256}"),
        *([SIMULATED] if reading.is_simulated else []),
        "Signal present (1) is synthetic. A case is an item; items of one patient are not told apart here.",
        "",
        f"N0: {list(truth.values()).count(0)}",
        f"N1: {list(truth.values()).count(1)}",
        f"NR: {len({reader for reader, _item, _score in scores})}",
        "NM: 1",
        "",
        "BEGIN DATA:",
        *(f"-1,{number},0,{is_synthetic}" for number, is_synthetic in sorted(truth.items())),
        *(f"reader{reader},{number},{MODALITY},{score:g}" for reader, number, score in sorted(scores)),
    ]
    return ("\n".join(lines) + "\n").encode()


def _header(text: str) -> str:
    """Free text of the lead's that no parser takes for a part of the file: one line, no colon."""
    return " ".join(text.replace(":", " ").split())


# --- everything, and the figures


def everything(reading: Reading, report: ReadingReport) -> bytes:
    """The report's document with the launched protocol and the salt that proves its truth."""
    places = Place.objects.filter(reading=reading, is_auditor=False)
    body = {
        "report": report.figures,
        "computed_at": report.created_at.isoformat(timespec="seconds"),
        "protocol": reading.protocol,
        "truth": truth_text(reading),
        "truth_salt": reading.preparation.salt,
        "places": [{"reader": place.number, "state": place.state} for place in places],
    }
    return json.dumps(body, indent=2, sort_keys=True, ensure_ascii=False).encode()


def figure_data(reading: Reading, report: ReadingReport) -> bytes:
    """A zip: the numbers behind every figure as CSV, each with the protocol's digest, and what they are."""
    label = SIMULATED if reading.is_simulated else ""
    files = {}
    for name, entry in FIGURES.items():
        sheet = entry.load().sheet(report.figures)
        if sheet.rows:
            columns = (*sheet.columns, "protocol_sha256", "simulated")
            files[f"{name}.csv"] = table(
                columns, [[*row, reading.protocol_sha256, label] for row in sheet.rows]
            )
    about = [
        f"{_header(reading.title)}, version {reading.version}",
        f"Protocol SHA-256 {reading.protocol_sha256}",
        "One file per figure of the report; shares are from 0 to 1, times in seconds.",
        label,
    ]
    files["README.txt"] = ("\n".join(about).rstrip() + "\n").encode()
    return archive(files)


EXPORTS: dict[str, Export] = {
    "answers": Export(_("All answers (CSV)"), "csv", "text/csv; charset=utf-8", tidy),
    "imrmc": Export(_("iMRMC"), "imrmc", "text/plain; charset=utf-8", imrmc),
    "json": Export(_("Everything (JSON)"), "json", "application/json", everything),
    "figures": Export(_("Numbers behind the figures (zip)"), "zip", "application/zip", figure_data),
}
