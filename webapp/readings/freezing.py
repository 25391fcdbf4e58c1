"""Digests that hold a study to its word: what it was prepared from, its pixels, its truth."""

from __future__ import annotations

from typing import Any

from webapp.readings.allocation import Slot, Unit
from webapp.readings.models import ItemTruth, Preparation, Reading, ReadingItem
from webapp.readings.protocol import Frozen, Protocol, sha256_of


def reading_protocol(reading: Reading) -> Protocol:
    """The study's protocol as it is kept."""
    return Protocol.from_json(reading.protocol)


def preparation_key(reading: Reading) -> str:
    """The digest of everything that decides what a reader's browser would receive.

    Items with their sources and controls, the harmoniser's options, and the window; not the words.
    """
    protocol = reading_protocol(reading)
    truths = ItemTruth.objects.filter(item__reading=reading).select_related("item")
    sources = sorted(
        [
            str(truth.item_id),
            truth.item.role,
            truth.arm,
            truth.control,
            str(truth.case_id or ""),
            str(truth.result_id or ""),
            str(truth.first_slice),
            str(truth.slice_count),
        ]
        for truth in truths
    )
    return sha256_of({"items": sources, "harmonise": dict(protocol.harmonise), "window": protocol.window})


def truth_text(reading: Reading) -> list[dict[str, Any]]:
    """The truth about every item, by number: what `truth_sha256` commits to."""
    truths = ItemTruth.objects.filter(item__reading=reading).select_related("item")
    return [
        {
            "number": truth.item.number,
            "arm": truth.arm,
            "control": truth.control,
            "stratum": truth.stratum,
            "patient": truth.patient,
            "first_slice": truth.first_slice,
            "slice_count": truth.slice_count,
            "attributes": truth.attributes,
            "expected": truth.expected,
            "source": truth.source,
        }
        for truth in sorted(truths, key=lambda truth: (truth.item.number is None, truth.item.number))
    ]


def truth_sha256(reading: Reading, salt: str) -> str:
    """The salted digest of the truth: SHA-256 of the canonical {"items": ..., "salt": ...}."""
    return sha256_of({"items": truth_text(reading), "salt": salt})


def truth_is_unchanged(reading: Reading) -> bool:
    """Whether the truth is still the one to which the protocol committed at launch."""
    committed = reading.protocol.get("truth_sha256", "")
    return bool(committed) and truth_sha256(reading, reading.preparation.salt) == committed


def protocol_is_unchanged(reading: Reading) -> bool:
    """Whether the protocol is still the one whose digest was taken at launch."""
    return bool(reading.protocol_sha256) and sha256_of(reading.protocol) == reading.protocol_sha256


def units_of(reading: Reading) -> list[Unit]:
    """The items as the allocation sees them, by number; items without a number are left out."""
    truths = ItemTruth.objects.filter(item__reading=reading, item__number__isnull=False)
    rows = truths.order_by("item__number").values_list(
        "item__number", "item__role", "arm", "stratum", "control"
    )
    return [
        Unit(number=number or 0, role=role, arm=arm, stratum=stratum, control=control)
        for number, role, arm, stratum, control in rows
    ]


def freeze(
    *, reading: Reading, preparation: Preparation, orders: dict[int, list[Slot]]
) -> tuple[Protocol, dict[str, Any]]:
    """The protocol with everything that launching adds, and its JSON. `orders` go by reader number."""
    protocol = reading_protocol(reading)
    items = ReadingItem.objects.filter(reading=reading).order_by("number")
    shown = [unit.arm for unit in units_of(reading) if unit.role != ReadingItem.Role.TRAINING]
    share = round(shown.count(ItemTruth.Arm.SYNTHETIC) / len(shown), 4) if shown else 0.0
    frozen = Frozen(
        version=reading.version,
        items=tuple(
            {"number": item.number, "role": item.role, "pixels_sha256": item.pixels_sha256} for item in items
        ),
        readers=tuple(
            {
                "number": number,
                "order": [slot.number for slot in slots],
                "sessions": [slot.session for slot in slots],
            }
            for number, slots in sorted(orders.items())
        ),
        audit=sha256_of({"audit": preparation.audit, "harmonisation": preparation.harmonisation}),
        truth_sha256=truth_sha256(reading, preparation.salt),
        prevalence=share if protocol.prevalence_told else None,
    )
    launched = protocol.changed(frozen=frozen)
    return launched, launched.to_json()
