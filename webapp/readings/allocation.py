"""Who reads what in which order: made once per reader from a seed, balanced, with hidden repeats.

Pure: no database. An order goes: training items; then the counted items in blocks within which arms
and strata are balanced, hidden repeats and attention checks strewn among them; blocks make sessions.

Blocks are stratified permuted blocks dealt out like cards: the items are laid in a row, cell by cell
(a cell is one stratum of one arm, the cells of an arm together), shuffled within each cell, and dealt
to the blocks in turn. Every run of neighbours in that row, so every cell, every arm and the whole,
is then spread over the blocks with at most one item of difference.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from django.utils.translation import gettext as _

from webapp.core.errors import ApplicationError
from webapp.readings.protocol import Protocol

TRIES = 32
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One item as the allocation sees it. Controls are spread like a stratum of their own, never repeated."""

    number: int
    role: str
    arm: str
    stratum: str = ""
    control: str = ""

    @property
    def cell(self) -> str:
        """What is spread evenly over the blocks, within an arm."""
        return f"{self.control}/{self.stratum}"


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One position of an order. `repeats` is the position of the first showing, None for a first showing."""

    position: int
    number: int
    session: int
    block: int
    repeats: int | None = None


def reader_seed(protocol: Protocol, reader: int) -> int:
    """The seed of a reader's order: independent for every study and every reader number (from 0)."""
    sequence = np.random.SeedSequence([protocol.seed, reader])
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(2))


def order_make(
    *, units: Sequence[Unit], protocol: Protocol, seed: int, unlike: Collection[tuple[int, ...]] = ()
) -> list[Slot]:
    """One reader's order of all items; the same arguments give the same order.

    `unlike` are orders (item numbers) of other readers, which are avoided where so few items allow it.
    Raises ApplicationError where the repeats and their gap ask for more items than there are.
    """
    ordered = sorted(units, key=lambda unit: unit.number)
    for attempt in range(TRIES):
        generator = np.random.default_rng([seed, attempt])
        slots = _order(ordered, protocol, generator)
        if tuple(slot.number for slot in slots) not in unlike:
            break
    return slots


def order_check(*, units: Sequence[Unit], protocol: Protocol) -> None:
    """Raise ApplicationError, in a plain sentence, where no order of these items keeps the protocol."""
    order_make(units=units, protocol=protocol, seed=protocol.seed)


@dataclass(kw_only=True)
class _Card:
    """A showing while the order is still being made."""

    number: int
    session: int
    block: int
    first: _Card | None = None


def _order(units: Sequence[Unit], protocol: Protocol, generator: np.random.Generator) -> list[Slot]:
    training = [unit for unit in units if unit.role == "training"]
    attention = [unit for unit in units if unit.role == "attention"]
    main = [unit for unit in units if unit.role == "main"]
    cards = _blocks(main, protocol, generator)
    _repeat(cards, {unit.number: unit for unit in main}, protocol, generator)
    _strew(cards, _shuffled(attention, generator), generator)
    first = [_Card(number=unit.number, session=1, block=0) for unit in _shuffled(training, generator)]
    cards = first + cards
    places = {id(card): position for position, card in enumerate(cards)}
    return [
        Slot(
            position=position,
            number=card.number,
            session=card.session,
            block=card.block,
            repeats=None if card.first is None else places[id(card.first)],
        )
        for position, card in enumerate(cards)
    ]


def _shuffled(things: Sequence[_T], generator: np.random.Generator) -> list[_T]:
    return [things[index] for index in generator.permutation(len(things))]


def _blocks(main: Sequence[Unit], protocol: Protocol, generator: np.random.Generator) -> list[_Card]:
    """The counted items, block after block; blocks are numbered from 1 and never part two sessions."""
    sessions = protocol.sessions.count
    if len(main) < sessions:
        raise ApplicationError(
            _("There are fewer counted items (%(items)d) than sessions (%(sessions)d).")
            % {"items": len(main), "sessions": sessions},
            field="session_count",
        )
    if not main:
        return []
    number = max(math.ceil(len(main) / protocol.block_size), sessions)
    row: list[Unit] = []
    for arm in _shuffled(sorted({unit.arm for unit in main}), generator):
        own = [unit for unit in main if unit.arm == arm]
        for cell in _shuffled(sorted({unit.cell for unit in own}), generator):
            row += _shuffled([unit for unit in own if unit.cell == cell], generator)
    turns = generator.permutation(number)
    blocks: list[list[Unit]] = [[] for _ in range(number)]
    for index, unit in enumerate(row):
        blocks[turns[index % number]].append(unit)
    return [
        _Card(number=unit.number, session=1 + block * sessions // number, block=block + 1)
        for block, units in enumerate(blocks)
        for unit in _shuffled(units, generator)
    ]


def _repeat(
    cards: list[_Card], units: dict[int, Unit], protocol: Protocol, generator: np.random.Generator
) -> None:
    """Add the hidden repeats, each at least `gap` other items after its first showing.

    Where a washout parts the sessions, a repeat lies in a later session than its first showing.
    """
    wanted = round(protocol.repeats.share * sum(1 for card in cards if not units[card.number].control))
    if not wanted:
        return
    gap = protocol.repeats.gap
    apart = protocol.sessions.count > 1 and protocol.sessions.washout_hours > 0
    last = cards[-1].session
    early = [card for card in cards[: max(0, len(cards) - gap)] if not units[card.number].control]
    able = [card for card in early if not apart or card.session < last]
    if len(able) < wanted:
        raise ApplicationError(
            _(
                "%(wanted)d items are to be shown twice with %(gap)d others in between, but only %(able)d "
                "come early enough for that. Take a smaller share, a smaller gap, or more items."
            )
            % {"wanted": wanted, "gap": gap, "able": len(able)},
            field="repeat_gap",
        )
    for first in _spread(able, units, wanted, generator):
        start = next(index for index, card in enumerate(cards) if card is first) + gap + 1
        if apart:
            start = max(start, next(i for i, card in enumerate(cards) if card.session > first.session))
        at = int(generator.integers(start, len(cards) + 1))
        before = cards[at - 1]
        session = before.session
        if apart and session == first.session:  # the very first place of the next session
            session = cards[at].session
        block = before.block if session == before.session else cards[at].block
        cards.insert(at, _Card(number=first.number, session=session, block=block, first=first))


def _spread(
    able: Sequence[_Card], units: dict[int, Unit], wanted: int, generator: np.random.Generator
) -> list[_Card]:
    """A systematic sample over arms and strata: every cell gets its share, give or take one."""
    row = sorted(
        _shuffled(able, generator), key=lambda card: (units[card.number].arm, units[card.number].cell)
    )
    step = len(row) / wanted
    start = generator.random() * step
    return [row[min(int(start + step * index), len(row) - 1)] for index in range(wanted)]


def _strew(cards: list[_Card], attention: Sequence[Unit], generator: np.random.Generator) -> None:
    """Add the attention checks at even distances, each somewhere in its own part of the order."""
    total = len(cards)
    share = total / (len(attention) + 1)
    for index in reversed(range(len(attention))):
        at = round(share * (index + 1) + (generator.random() - 0.5) * share * 0.8)
        at = min(max(at, min(1, total)), total)
        near = cards[at - 1] if cards else _Card(number=0, session=1, block=0)
        cards.insert(at, _Card(number=attention[index].number, session=near.session, block=near.block))
