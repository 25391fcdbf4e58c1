"""The demo reader study: finished, read by simulated readers, on phantoms; it says so on every page.

The "real" arm is phantoms drawn from formulas, the synthetic arm what the shipped model made of other
phantoms' masks.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
from django.db import transaction
from django.utils import timezone

from webapp.accounts.models import Role, RoleGrant, User
from webapp.cases.models import Case, Dataset, ShareLevel
from webapp.cases.services import case_create_from_dicom, dataset_create, dataset_share
from webapp.readings.audit import Observation, audit
from webapp.readings.demo_slices import Slice, drawn, made
from webapp.readings.freezing import preparation_key
from webapp.readings.harmonising import (
    Options,
    before_and_after,
    choose_target,
    describe,
    harmonise,
    survey,
)
from webapp.readings.models import ItemTruth, Preparation, Reading, ReadingItem
from webapp.readings.pixels import pixels_load, pixels_remove, pixels_store
from webapp.readings.preparing import item_name, source_pixels
from webapp.readings.protocol import Margin, Protocol, Question, Repeats
from webapp.readings.services import expected_of, reading_close, reading_create, reading_unblind, stratum_of
from webapp.readings.services_items import feedback_of, item_make_control, item_set_role
from webapp.readings.services_launch import reading_launch
from webapp.readings.services_places import place_invite
from webapp.readings.services_preparation import preparation_accept
from webapp.readings.services_report import SIMULATED, report_execute
from webapp.readings.simulated import Behaviour, readers_simulate

TITLE = "Demo: can readers tell abdomen-2d from drawn phantoms?"
SUMMARY = (
    f"{SIMULATED}: nobody read these images and no patient was scanned. The real arm is phantoms drawn from "
    "formulas, the synthetic arm what the shipped model made of other phantoms' masks."
)
DATASET = "Demo: reader study"
NOTE = (
    "Demo study on phantoms: whatever the audit found is left as it is, so that its page has something to "
    "show. A real study would mend its items first."
)
FIRST_DRAWN = 100  # of the demo split of phantoms
SEED = 20_260_101
READING_TIME = timedelta(hours=2)  # the simulated readers' own, so that no answer is given after the closing

READERS = (
    Behaviour(
        d_prime=0.9,
        criterion=0.1,
        seconds=7.0,
        experience={"profession": "radiologist", "years": 12, "synthetic_seen": "some"},
    ),
    Behaviour(
        d_prime=0.5,
        criterion=-0.2,
        seconds=11.0,
        experience={"profession": "resident", "years": 3, "synthetic_seen": "never"},
    ),
    Behaviour(
        d_prime=0.7,
        criterion=0.3,
        seconds=9.0,
        experience={"profession": "radiologist", "years": 7, "synthetic_seen": "never"},
    ),
    Behaviour(
        d_prime=0.2,
        criterion=0.0,
        seconds=14.0,
        attention=0.5,
        experience={"profession": "physician", "years": 5, "synthetic_seen": "some"},
    ),
)


def demo_reading_make(
    *, owner: User, lead: User, report: Callable[[str], None] = lambda sentence: None
) -> Reading:
    """Make the demo study, or find it. `owner` keeps the dataset of its slices, `lead` leads the study."""
    found = Reading.objects.filter(owner=lead, is_simulated=True, title=TITLE).first()
    if found is not None:
        return found
    kept: list[str] = []
    try:
        with transaction.atomic():
            reading = _make(owner, lead, kept)
    except BaseException:
        pixels_remove(kept)
        raise
    report(f"Made the reader study '{reading.title}': simulated readers on phantom cases.")
    return reading


def _make(owner: User, lead: User, kept: list[str]) -> Reading:
    reading = reading_create(user=lead, title=TITLE, summary=SUMMARY, protocol=_protocol())
    reading.is_simulated = True
    reading.save(update_fields=["is_simulated", "updated_at"])
    dataset = _dataset(owner, lead)
    for arm, slices in (
        (ItemTruth.Arm.REAL, drawn(FIRST_DRAWN, source={"dataset": DATASET})),
        (ItemTruth.Arm.SYNTHETIC, made()),
    ):
        for one in slices:
            _add(reading, arm, one, _case(dataset, one))
    _set_roles(lead, reading)
    _prepare(reading, kept)
    preparation = Preparation.objects.get(reading=reading)
    if preparation.needs_acceptance:
        preparation_accept(user=lead, reading=reading, note=NOTE)
    readers = [_reader(number) for number in range(1, len(READERS) + 1)]
    for reader in readers:
        place_invite(user=lead, reading=reading, reader=reader)
    reading = reading_launch(user=lead, reading=Reading.objects.get(pk=reading.pk))
    reading.launched_at = timezone.now() - READING_TIME
    reading.save(update_fields=["launched_at", "updated_at"])
    readers_simulate(reading=reading, behaviours=READERS, seed=SEED)
    User.objects.filter(pk__in=[reader.pk for reader in readers]).update(is_active=False)
    reading_close(user=lead, reading=reading)
    reading = reading_unblind(user=lead, reading=Reading.objects.get(pk=reading.pk))
    report_execute(user=lead, reading_id=reading.pk)
    return reading


def _protocol() -> Protocol:
    return Protocol(
        questions=(
            Question.make(
                type="real_or_synthetic", name="real_or_synthetic", label="Is this image real or synthetic?"
            ),
            Question.make(
                type="severity_grade", name="severity", label="How severe is the cirrhosis?", required=False
            ),
            Question.make(
                type="likert", name="quality", label="How good is the image quality?", required=False
            ),
        ),
        instructions="Look at each slice as in your daily work. About half of them were made by a model.",
        prevalence_told=True,
        repeats=Repeats(share=0.25, gap=5),
        margin=Margin(measure="auc", value=0.1),
        block_size=8,
        seed=SEED,
    )


def _dataset(owner: User, lead: User) -> Dataset:
    dataset = Dataset.objects.filter(name=DATASET).first()
    if dataset is None:
        dataset = dataset_create(
            user=owner,
            name=DATASET,
            description="The slices of the demo reader study: drawn from formulas, or made by a model.",
            licence="CC0-1.0",
            purpose="Where the items of the demo reader study came from.",
        )
        if lead.pk != owner.pk:
            dataset_share(user=owner, dataset=dataset, person=lead, level=ShareLevel.VIEW)
    return dataset


def _case(dataset: Dataset, one: Slice) -> Case:
    return case_create_from_dicom(
        files=one.files(),
        name=one.name,
        attributes={"severity": one.severity, "age": one.age, "sex": one.sex},
        is_synthetic=True,
        dataset=dataset,
    )


# --- the study


def _add(reading: Reading, arm: str, one: Slice, case: Case) -> None:
    """One item. Written here, since a lead can add no synthetic case as a real one."""
    item = ReadingItem.objects.create(reading=reading, modality="CT")
    truth = ItemTruth(
        item=item,
        arm=arm,
        case=case,
        patient=f"phantom {one.phantom}",
        attributes={"severity": one.severity},
        source=one.source,
    )
    protocol = _protocol()
    truth.stratum = stratum_of(truth, protocol)
    truth.expected = expected_of(truth, protocol)
    truth.save()


def _set_roles(lead: User, reading: Reading) -> None:
    """Of either arm, in the order of its phantoms: a training item, a check, two controls, then the rest."""
    for arm, control in (
        (ItemTruth.Arm.REAL, ItemTruth.Control.RECONSTRUCTED),
        (ItemTruth.Arm.SYNTHETIC, ItemTruth.Control.KNOWN_BAD),
    ):
        truths = ItemTruth.objects.filter(item__reading=reading, arm=arm).select_related("item")
        items = [truth.item for truth in sorted(truths, key=lambda truth: truth.patient)]
        truth = items[0].truth
        item_set_role(
            user=lead,
            reading=reading,
            items=items[:1],
            role=ReadingItem.Role.TRAINING,
            feedback=_feedback(truth),
        )
        item_set_role(user=lead, reading=reading, items=items[1:2], role=ReadingItem.Role.ATTENTION)
        item_make_control(user=lead, reading=reading, items=items[2:4], control=control)


def _feedback(truth: ItemTruth) -> str:
    return (
        feedback_of(truth) if truth.arm == ItemTruth.Arm.SYNTHETIC else "This image was drawn from formulas."
    )


def _reader(number: int) -> User:
    name = f"simulated-reader-{number}"
    reader = User.objects.filter(username=name).first()
    if reader is None:
        reader = User.objects.create_user(username=name, display_name=f"Simulated reader {number}")
        RoleGrant.objects.create(user=reader, role=Role.ANNOTATOR)
    User.objects.filter(pk=reader.pk).update(is_active=True)
    reader.is_active = True
    return reader


def _prepare(reading: Reading, kept: list[str]) -> None:
    """Harmonise and number the items and audit their pixels; what a browser receives is looked at by a
    worker's preparation alone, and the audit says so."""
    truths = list(
        ItemTruth.objects.filter(item__reading=reading)
        .select_related("item", "case")
        .order_by("arm", "patient")
    )
    sources = [source_pixels(truth) for truth in truths]
    surveys = [
        survey(pixels, spacing, "CT", item=item_name(truth), arm=truth.arm)
        for truth, (pixels, spacing) in zip(truths, sources)
    ]
    target = choose_target(surveys, Options())
    numbers = np.random.default_rng(SEED).permutation(len(truths))
    before, after = [], []
    for truth, (pixels, spacing), number in zip(truths, sources, numbers):
        made = harmonise(pixels, spacing, "CT", target)
        before.append(describe(pixels, spacing[:2]))
        after.append(describe(made.pixels.astype(np.float32), made.spacing_mm))
        item = truth.item
        item.pixels, item.pixels_sha256 = pixels_store(made.pixels)
        kept.append(item.pixels)
        item.number = int(number) + 1
        item.frames, item.rows, item.columns = made.pixels.shape
        item.spacing_mm = list(made.spacing_mm)
        item.window_center, item.window_width = made.window
        item.save()
    found = audit(
        [
            Observation(
                item=str(truth.item_id),
                arm=truth.arm,
                cluster=truth.patient,
                position=truth.item.number or 0,
                pixels=pixels_load(truth.item),
            )
            for truth in truths
            if not truth.control
        ],
        seed=SEED,
    )
    Preparation.objects.create(
        reading=reading,
        key=preparation_key(reading),
        harmonisation=before_and_after(before, after, [truth.arm for truth in truths], target),
        audit=found.to_json(),
        is_blocked=found.is_blocked,
        needs_acceptance=found.needs_acceptance,
    )
    row = Reading.objects.get(pk=reading.pk)
    row.state, row.prepared_at = Reading.State.READY, timezone.now()
    row.save(update_fields=["state", "prepared_at", "updated_at"])
