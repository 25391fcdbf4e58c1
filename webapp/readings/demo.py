"""The demo reader study: finished, read by simulated readers, on phantoms; it says so on every page.

The "real" arm is phantoms drawn from formulas, the synthetic arm what the shipped model made of other
phantoms' masks. The slices of the model lie beside this module, since the site holds no torch
(`python -m training.demo_slices` makes them).
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import jpeg_ls
import numpy as np
from django.db import transaction
from django.utils import timezone

import synthesis
from synthesis.imaging.dicom_write import Making, Subject, synthetic_series, to_bytes
from synthesis.imaging.plane import flat_plane
from synthesis.imaging.storage import Stored, to_stored
from synthesis.phantoms import GRADES, abdomen, phantom_seed
from webapp.accounts.models import Role, RoleGrant, User
from webapp.cases.demo import MADE_AT
from webapp.cases.models import Case, Dataset, ShareLevel
from webapp.cases.services import case_create_from_dicom, dataset_create, dataset_share
from webapp.readings.audit import Observation, audit
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
from webapp.readings.services import reading_close, reading_create, reading_unblind, stratum_of
from webapp.readings.services_items import expected_of, feedback_of, item_make_control, item_set_role
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
SLICES = Path(__file__).parent / "demo_slices.zip"
SHAPE = (128, 128)
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


@dataclass(frozen=True)
class _Slice:
    """One slice of either arm: int16 HU [rows, columns], square pixels, and what it is said to be."""

    name: str
    pixels: Stored
    spacing_mm: tuple[float, float]
    phantom: int
    severity: str
    age: float
    sex: str
    making: Making
    source: dict[str, Any]


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
    for arm, slices in ((ItemTruth.Arm.REAL, _drawn()), (ItemTruth.Arm.SYNTHETIC, _made())):
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


# --- the slices


def _drawn() -> list[_Slice]:
    """Phantoms drawn from formulas, noise included."""
    found = []
    for index in range(len(_archive()["slices"])):
        number = FIRST_DRAWN + index
        phantom = abdomen(phantom_seed("demo", number), shape=SHAPE)
        asked = phantom.attributes
        row, column = (float(value) for value in phantom.spacing_mm)
        making = _making(
            f"drawn/{number}", "phantom abdomen", synthesis.__version__, "drawing from formulas", "none"
        )
        found.append(
            _Slice(
                name=f"Drawn phantom {number}",
                pixels=to_stored(phantom.image, "CT"),
                spacing_mm=(row, column),
                phantom=number,
                severity=GRADES[asked.severity_texture],
                age=asked.age,
                sex=asked.sex,
                making=making,
                source={"case": f"Drawn phantom {number}", "dataset": DATASET},
            )
        )
    return found


def _made() -> list[_Slice]:
    """What the shipped model made of other phantoms' masks."""
    about = _archive()
    found = []
    with zipfile.ZipFile(SLICES) as archive:
        for one in about["slices"]:
            unsigned = jpeg_ls.decode(np.frombuffer(archive.read(one["file"]), np.uint8))
            condition = one["condition"]
            found.append(
                _Slice(
                    name=f"Made by {about['model']}, phantom {one['phantom']}",
                    pixels=(unsigned.astype(np.int32) - about["offset"]).astype(np.int16),
                    spacing_mm=(one["spacing_mm"][0], one["spacing_mm"][1]),
                    phantom=one["phantom"],
                    severity=condition["severity"],
                    age=condition["age"],
                    sex=condition["sex"],
                    making=_making(
                        f"made/{one['phantom']}/{one['seed']}",
                        about["model"],
                        about["version"],
                        "rectified flow",
                        about["weights_sha256"],
                    ),
                    source={
                        "model": f"{about['model']} {about['version']}",
                        "seed": one["seed"],
                        "pixels": one["pixel_sha256"],
                    },
                )
            )
    return found


def _archive() -> dict[str, Any]:
    with zipfile.ZipFile(SLICES) as archive:
        about: dict[str, Any] = json.loads(archive.read("slices.json"))
    return about


def _making(job: str, name: str, version: str, method: str, weights: str) -> Making:
    return Making(
        job=f"demo study/{job}",
        made_at=MADE_AT,
        model_name=name,
        model_version=version,
        method=method,
        weights_sha256=weights,
        description="Phantom of the demo reader study. No patient was scanned.",
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


def _case(dataset: Dataset, one: _Slice) -> Case:
    files = synthetic_series(
        one.pixels[None],
        [flat_plane(SHAPE, one.spacing_mm)],
        modality="CT",
        making=one.making,
        subject=Subject(
            patient_id=f"DEMO-{one.phantom}",
            patient_name=f"SYNTHETIC^Phantom {one.phantom}",
            sex=one.sex,
            age=one.age,
        ),
        thickness_mm=5.0,
        description=one.name,
    )
    attributes = {"severity": one.severity, "age": one.age, "sex": one.sex}
    return case_create_from_dicom(
        files=[to_bytes(file) for file in files],
        name=one.name,
        attributes=attributes,
        is_synthetic=True,
        dataset=dataset,
    )


# --- the study


def _add(reading: Reading, arm: str, one: _Slice, case: Case) -> None:
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
