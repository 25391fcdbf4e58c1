"""Reader studies for tests, made through the product's own services, without a browser or a worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests import factories

SIDE = 32
WINDOW = (0.0, 400.0)


@dataclass
class Study:
    """A study with the people in it."""

    reading: Any
    lead: Any
    readers: list[Any] = field(default_factory=list)
    requester: Any = None

    @property
    def places(self) -> list[Any]:
        """The readers' places, by number."""
        return list(self.reading.places.filter(is_auditor=False).select_related("user").order_by("number"))

    def place(self, number: int = 1) -> Any:
        """One reader's place."""
        return next(place for place in self.places if place.number == number)

    def arm_of(self, item: Any) -> str:
        """The truth, for checking."""
        from webapp.readings.models import ItemTruth

        return ItemTruth.objects.get(item=item).arm


def draft(real: int = 4, synthetic: int = 4, *, lead: Any = None, slices: int = 1, **protocol: Any) -> Study:
    """A draft with that many phantom cases in either arm and nobody invited; `protocol` changes decisions."""
    from webapp.readings.protocol import Protocol
    from webapp.readings.services import reading_create
    from webapp.readings.services_items import SliceRule, item_add_cases, item_add_results

    lead = lead or factories.person("study_lead")
    requester = factories.person("clinician")
    values = {"seed": 11, "block_size": 4} | protocol
    reading = reading_create(user=lead, title="Phantom livers", protocol=Protocol(**values))
    dataset = factories.dataset(shares={lead: "view"})
    cases = [
        factories.case(dataset=dataset, slices=slices, attributes={"severity": "low"}) for _ in range(real)
    ]
    for number, case in enumerate(cases):
        case.patient = f"P{number}"
        case.save(update_fields=["patient"])
    results = offered_results(requester, synthetic)
    rule = SliceRule(rule="all") if slices > 1 else SliceRule()
    item_add_cases(user=lead, reading=reading, cases=cases, slices=rule)
    item_add_results(user=lead, reading=reading, results=results, slices=rule)
    return Study(reading=reading, lead=lead, requester=requester)


def offered_results(owner: Any, count: int) -> list[Any]:
    """Results of a clinician, one request each, offered to study leads."""
    if not count:
        return []
    from webapp.jobs.services import result_offer

    model = factories.generative_model()
    results = []
    for number in range(count):
        parameters = {"phantom_seed": number, "condition": {"modality": "CT", "severity": "severe"}}
        request = factories.synthesis_request(owner, model=model, parameters=parameters, seed=number)
        made = factories.result(owner, request=request)
        results.append(result_offer(user=owner, result=made, offered=True))
    return results


def prepared(
    study: Study, *, frames: int = 1, blocked: bool = False, needs_acceptance: bool = False
) -> Study:
    """The draft as if harmonised and audited: pixels of noise of one shape, numbers, and a clean report."""
    from webapp.readings.freezing import preparation_key
    from webapp.readings.models import Preparation
    from webapp.readings.pixels import pixels_store

    generator = np.random.default_rng(5)
    items = list(study.reading.items.order_by("pk"))
    for number, item in zip(generator.permutation(len(items)), items):
        array = generator.integers(-160, 240, (frames, SIDE, SIDE)).astype(np.int16)
        item.pixels, item.pixels_sha256 = pixels_store(array)
        item.number = int(number) + 1
        item.rows, item.columns, item.frames = SIDE, SIDE, frames
        item.spacing_mm, item.modality = [1.0, 1.0], "CT"
        item.window_center, item.window_width = WINDOW
        item.save()
    Preparation.objects.create(
        reading=study.reading,
        key=preparation_key(study.reading),
        harmonisation={},
        audit={},
        is_blocked=blocked,
        needs_acceptance=needs_acceptance,
    )
    study.reading.state = "ready"
    study.reading.save()
    return study


def invite(study: Study, readers: int = 2) -> Study:
    """That many annotators invited."""
    from webapp.readings.services_places import place_invite

    for _ in range(readers):
        reader = factories.person("annotator")
        place_invite(user=study.lead, reading=study.reading, reader=reader)
        study.readers.append(reader)
    return study


def launched(
    real: int = 4,
    synthetic: int = 4,
    readers: int = 2,
    *,
    training: int = 0,
    attention: int = 0,
    frames: int = 1,
    **protocol: Any,
) -> Study:
    """A study open for reading. Of the items, the last ones of each arm in turn train or check attention."""
    from webapp.readings.models import ItemTruth
    from webapp.readings.services_items import item_set_role
    from webapp.readings.services_launch import reading_launch

    study = draft(real, synthetic, **protocol)
    arms = [
        [truth.item for truth in ItemTruth.objects.filter(item__reading=study.reading, arm=arm)]
        for arm in ("real", "synthetic")
    ]
    turns = [item for pair in zip(*map(reversed, arms)) for item in pair]
    for role, items in (
        ("training", turns[:training]),
        ("attention", turns[training : training + attention]),
    ):
        if items:
            item_set_role(user=study.lead, reading=study.reading, items=items, role=role)
    prepared(study, frames=frames)
    invite(study, readers)
    study.reading = reading_launch(user=study.lead, reading=study.reading)
    return study


def closed(study: Study) -> Study:
    """The study closed, still blinded."""
    from webapp.readings.services import reading_close

    study.reading = reading_close(user=study.lead, reading=study.reading)
    return study


def unblinded(study: Study) -> Study:
    """The study closed and unblinded."""
    from webapp.readings.services import reading_unblind

    study.reading = reading_unblind(user=study.lead, reading=closed(study).reading)
    return study


def protocol_of(study: Study) -> Any:
    """The study's protocol as it is kept."""
    from webapp.readings.freezing import reading_protocol

    return reading_protocol(study.reading)
