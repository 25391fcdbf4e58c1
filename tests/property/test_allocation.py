"""Laws of every reader's order: complete, balanced in every block, repeats apart, and each its own."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from webapp.core.errors import ApplicationError
from webapp.readings.allocation import Slot, Unit, order_make, reader_seed
from webapp.readings.protocol import Protocol, Repeats, Sessions

ARMS = ("real", "synthetic")


@st.composite
def studies(draw: st.DrawFn) -> tuple[list[Unit], Protocol]:
    """Items of both arms in up to three strata, with training, checks and controls, and a protocol."""
    units: list[Unit] = []
    for arm in ARMS:
        for stratum in "abc"[: draw(st.integers(1, 3))]:
            units += [
                Unit(number=0, role="main", arm=arm, stratum=stratum) for _ in range(draw(st.integers(1, 9)))
            ]
    for role in ("training", "attention"):
        units += [
            Unit(number=0, role=role, arm=draw(st.sampled_from(ARMS))) for _ in range(draw(st.integers(0, 4)))
        ]
    units += [
        Unit(number=0, role="main", arm="synthetic", control="known_bad")
        for _ in range(draw(st.integers(0, 2)))
    ]
    numbers = draw(st.permutations(range(1, len(units) + 1)))
    units = [
        Unit(number=number, role=unit.role, arm=unit.arm, stratum=unit.stratum, control=unit.control)
        for number, unit in zip(numbers, units, strict=True)
    ]
    protocol = Protocol(
        seed=draw(st.integers(0, 2**62 - 1)),
        block_size=draw(st.sampled_from((2, 4, 6, 10))),
        repeats=Repeats(share=draw(st.sampled_from((0.0, 0.1, 0.25))), gap=draw(st.integers(1, 6))),
        sessions=Sessions(count=draw(st.integers(1, 3)), washout_hours=draw(st.sampled_from((0.0, 24.0)))),
    )
    return units, protocol


def order_of(units: list[Unit], protocol: Protocol, reader: int = 1) -> list[Slot]:
    """The order, where the study allows one."""
    try:
        return order_make(units=units, protocol=protocol, seed=reader_seed(protocol, reader))
    except ApplicationError:
        assume(False)
        raise


@given(studies())
@settings(max_examples=200, deadline=None)
def test_every_item_comes_once_and_only_counted_ones_again(study: tuple[list[Unit], Protocol]) -> None:
    units, protocol = study
    slots = order_of(units, protocol)
    assert [slot.position for slot in slots] == list(range(len(slots)))
    first = [slot.number for slot in slots if slot.repeats is None]
    assert sorted(first) == sorted(unit.number for unit in units)
    able = [unit for unit in units if unit.role == "main" and not unit.control]
    again = [slot.number for slot in slots if slot.repeats is not None]
    assert len(again) == len(set(again)) == round(protocol.repeats.share * len(able))
    assert set(again) <= {unit.number for unit in able}


@given(studies())
@settings(max_examples=200, deadline=None)
def test_a_repeat_comes_late_enough_and_after_a_washout_in_a_later_session(
    study: tuple[list[Unit], Protocol],
) -> None:
    units, protocol = study
    slots = order_of(units, protocol)
    for slot in slots:
        if slot.repeats is None:
            continue
        first = slots[slot.repeats]
        assert first.number == slot.number
        assert first.repeats is None
        assert slot.position - first.position - 1 >= protocol.repeats.gap
        if protocol.sessions.count > 1 and protocol.sessions.washout_hours:
            assert slot.session > first.session


@given(studies())
@settings(max_examples=200, deadline=None)
def test_training_comes_first_and_checks_never_at_the_start(study: tuple[list[Unit], Protocol]) -> None:
    units, protocol = study
    slots = order_of(units, protocol)
    role = {unit.number: unit.role for unit in units}
    roles = [role[slot.number] for slot in slots]
    training = roles.count("training")
    assert roles[:training] == ["training"] * training
    assert roles[training] == "main"


@given(studies())
@settings(max_examples=200, deadline=None)
def test_blocks_and_sessions_hold_equal_shares_of_everything(study: tuple[list[Unit], Protocol]) -> None:
    units, protocol = study
    slots = order_of(units, protocol)
    main = {unit.number: unit for unit in units if unit.role == "main"}
    sessions = [slot.session for slot in slots]
    assert sessions == sorted(sessions)
    assert set(sessions) == set(range(1, protocol.sessions.count + 1))
    blocks: dict[int, Counter[tuple[str, ...]]] = {}
    for slot in slots:
        if slot.repeats is None and slot.number in main:
            unit = main[slot.number]
            kinds = [("all",), (unit.arm,), (unit.arm, unit.cell)]
            blocks.setdefault(slot.block, Counter()).update(kinds)
    assert set(blocks) == set(range(1, len(blocks) + 1))
    assert max(count[("all",)] for count in blocks.values()) <= protocol.block_size
    for kind in {kind for count in blocks.values() for kind in count}:
        shares = [count[kind] for count in blocks.values()]
        assert max(shares) - min(shares) <= 1, kind


@given(studies())
@settings(max_examples=100, deadline=None)
def test_the_same_seed_gives_the_same_order_and_readers_have_their_own(
    study: tuple[list[Unit], Protocol],
) -> None:
    units, protocol = study
    assume(sum(unit.role == "main" for unit in units) >= 6)
    first = order_of(units, protocol, 1)
    assert first == order_of(list(reversed(units)), protocol, 1)
    numbers = {tuple(slot.number for slot in first)}
    for reader in range(2, 6):
        seed = reader_seed(protocol, reader)
        slots = order_make(units=units, protocol=protocol, seed=seed, unlike=numbers)
        order = tuple(slot.number for slot in slots)
        assert order not in numbers
        numbers.add(order)


def test_every_item_is_as_likely_at_every_place() -> None:
    """Over 4000 readers each of 8 items stands 500 times at each place: chi-square with 49 df."""
    units = [Unit(number=n + 1, role="main", arm=ARMS[n % 2]) for n in range(8)]
    protocol = Protocol(seed=5, block_size=4)
    table = Counter(
        (slot.position, slot.number)
        for reader in range(4000)
        for slot in order_make(units=units, protocol=protocol, seed=reader_seed(protocol, reader))
    )
    chi2 = sum((table[(place, number)] - 500) ** 2 / 500 for place in range(8) for number in range(1, 9))
    assert chi2 < 85.4  # 99.9% quantile


def test_too_many_repeats_are_refused_in_words() -> None:
    units = [Unit(number=n + 1, role="main", arm=ARMS[n % 2]) for n in range(8)]
    protocol = Protocol(repeats=Repeats(share=0.5, gap=6))
    with pytest.raises(ApplicationError, match="4 items are to be shown twice with 6 others in between"):
        order_make(units=units, protocol=protocol, seed=1)
