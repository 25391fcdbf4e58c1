"""Whether an unblinded study is still the one that was launched: protocol, truth, images and orders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

from webapp.readings.freezing import protocol_is_unchanged, truth_is_unchanged
from webapp.readings.gathering import Showing
from webapp.readings.models import Reading, ReadingItem
from webapp.readings.pixels import pixels_digest


def checks_of(reading: Reading, showings: Sequence[Showing]) -> list[dict[str, Any]]:
    """[{"name", "ok", "sentence"}]: each digest taken anew and compared with what launching froze."""
    return [
        _check(
            "protocol",
            protocol_is_unchanged(reading),
            _("The protocol is the one that was launched: its text still has the digest %(digest)s.")
            % {"digest": reading.protocol_sha256},
            _("The protocol is not the one that was launched: its text no longer has the digest %(digest)s.")
            % {"digest": reading.protocol_sha256},
        ),
        _check(
            "truth",
            truth_is_unchanged(reading),
            _("The truth is the one that was committed at launch, before the first answer."),
            _("The truth is not the one that was committed at launch. Do not rely on this report."),
        ),
        _pixels(reading),
        _orders(reading, showings),
    ]


def _check(name: str, ok: bool, good: str, bad: str) -> dict[str, Any]:
    return {"name": name, "ok": ok, "sentence": good if ok else bad}


def _pixels(reading: Reading) -> dict[str, Any]:
    frozen = {item["number"]: item["pixels_sha256"] for item in reading.protocol.get("items", [])}
    items = list(ReadingItem.objects.filter(reading=reading))
    changed = sorted(item.number or 0 for item in items if _digest(item) != frozen.get(item.number))
    return _check(
        "pixels",
        not changed and len(items) == len(frozen),
        _("All %(count)d images are, byte for byte, those that were frozen at launch.")
        % {"count": len(items)},
        _("These images are missing or are not those that were frozen at launch: %(items)s.")
        % {"items": ", ".join(str(number) for number in changed) or _("some were added or removed")},
    )


def _digest(item: ReadingItem) -> str:
    try:
        return pixels_digest(item)
    except OSError:
        return ""


def _orders(reading: Reading, showings: Sequence[Showing]) -> dict[str, Any]:
    frozen = {reader["number"]: list(reader["order"]) for reader in reading.protocol.get("readers", [])}
    shown: dict[int, list[int | None]] = defaultdict(list)
    for showing in showings:
        shown[showing.place.number].append(showing.item.number)
    differing = [number for number, order in frozen.items() if number in shown and shown[number] != order]
    return _check(
        "orders",
        not differing,
        _("Every reader was given the order that was frozen at launch."),
        _("These readers were given another order than the one frozen at launch: %(readers)s.")
        % {"readers": ", ".join(str(number) for number in differing)},
    )
