"""The steps by which a study is drawn up: which are done, and what is still missing in words."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from webapp.core.errors import ApplicationError
from webapp.readings.allocation import Unit, order_check
from webapp.readings.conflicts import places_unconfirmed
from webapp.readings.freezing import reading_protocol
from webapp.readings.models import ItemTruth, Place, Preparation, Reading, ReadingItem


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step: its page, whether it is done, and a word on how it stands."""

    name: str
    label: str | Promise
    url_name: str
    is_done: bool
    note: str = ""


LABELS = {
    "basics": gettext_lazy("Basics"),
    "questions": gettext_lazy("Questions"),
    "items": gettext_lazy("Items"),
    "design": gettext_lazy("Design"),
    "readers": gettext_lazy("Readers"),
    "prepare": gettext_lazy("Prepare and audit"),
    "launch": gettext_lazy("Launch"),
}


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many items of each sort a study has."""

    real: int
    synthetic: int
    training: int
    attention: int
    controls: int

    @property
    def total(self) -> int:
        """All items."""
        return self.real + self.synthetic + self.training + self.attention + self.controls


def counts_of(reading: Reading) -> Counts:
    """The items by what they are there for; `real` and `synthetic` are the counted, ordinary ones."""
    rows = list(ItemTruth.objects.filter(item__reading=reading).values_list("arm", "item__role", "control"))
    main = [row for row in rows if row[1] == ReadingItem.Role.MAIN]
    return Counts(
        real=sum(1 for arm, _role, control in main if arm == ItemTruth.Arm.REAL and not control),
        synthetic=sum(1 for arm, _role, control in main if arm == ItemTruth.Arm.SYNTHETIC and not control),
        training=sum(1 for row in rows if row[1] == ReadingItem.Role.TRAINING),
        attention=sum(1 for row in rows if row[1] == ReadingItem.Role.ATTENTION),
        controls=sum(1 for row in main if row[2]),
    )


def design_problem(reading: Reading) -> str:
    """Why no order keeps the protocol with these items; "" where one does."""
    rows = ItemTruth.objects.filter(item__reading=reading).order_by("pk")
    units = [
        Unit(number=n, role=role, arm=arm, stratum=stratum, control=control)
        for n, (role, arm, stratum, control) in enumerate(
            rows.values_list("item__role", "arm", "stratum", "control"), start=1
        )
    ]
    try:
        order_check(units=units, protocol=reading_protocol(reading))
    except ApplicationError as error:
        return str(error)
    return ""


def steps_of(reading: Reading) -> list[Step]:
    """The steps in order."""
    counts = counts_of(reading)
    protocol = reading_protocol(reading)
    readers = Place.objects.filter(reading=reading, is_auditor=False).count()
    audit_done, audit_note = _audited(reading)
    questions = len(protocol.questions)
    notes = {
        "basics": (
            bool(protocol.instructions.strip()),
            "" if protocol.instructions.strip() else _("no instructions yet"),
        ),
        "questions": (True, ngettext("%(n)d question", "%(n)d questions", questions) % {"n": questions}),
        "items": (
            counts.real > 0 and counts.synthetic > 0,
            _("%(real)d real, %(synthetic)d synthetic")
            % {"real": counts.real, "synthetic": counts.synthetic},
        ),
        "design": (
            counts.total > 0 and not design_problem(reading),
            _("margin %(value).2g on %(measure)s")
            % {"value": protocol.margin.value, "measure": _margin_words(protocol.margin.measure)},
        ),
        "readers": (readers > 0, ngettext("%(n)d invited", "%(n)d invited", readers) % {"n": readers}),
        "prepare": (audit_done, audit_note),
        "launch": (reading.launched_at is not None, ""),
    }
    return [
        Step(
            name=name,
            label=label,
            url_name=f"readings:reading-{name}",
            is_done=notes[name][0],
            note=notes[name][1],
        )
        for name, label in LABELS.items()
    ]


def _margin_words(measure: str) -> str:
    return _("the AUC") if measure == "auc" else _("accuracy")


def _audited(reading: Reading) -> tuple[bool, str]:
    if reading.state == Reading.State.PREPARING:
        return False, _("being prepared")
    preparation = Preparation.objects.filter(reading=reading).first()
    if preparation is None:
        return False, _("not prepared yet")
    if preparation.is_blocked:
        return False, _("blocked by a leak")
    if preparation.needs_acceptance and preparation.accepted_at is None:
        return False, _("a leak waits to be accepted")
    return True, _("accepted in writing") if preparation.needs_acceptance else _("no leak found")


def obstacles_of(reading: Reading) -> list[str]:
    """What still keeps the study from being launched, in sentences."""
    counts = counts_of(reading)
    found = []
    if not counts.real or not counts.synthetic:
        found.append(_("Both arms need counted items."))
    problem = design_problem(reading) if counts.total else ""
    if problem:
        found.append(problem)
    if not Place.objects.filter(reading=reading, is_auditor=False).exists():
        found.append(_("Nobody is invited yet."))
    done, note = _audited(reading)
    if not done:
        found.append(_("The study is not ready: %(note)s.") % {"note": note})
    return found


def hints_of(reading: Reading) -> list[str]:
    """What makes a sounder study and is missing; none of it blocks the launch."""
    counts = counts_of(reading)
    protocol = reading_protocol(reading)
    found = []
    if counts.real and counts.synthetic and counts.real != counts.synthetic:
        found.append(
            _("The arms differ in size (%(real)d real, %(synthetic)d synthetic); equal arms say most.")
            % {"real": counts.real, "synthetic": counts.synthetic}
        )
    if not protocol.repeats.share:
        found.append(_("There are no hidden repeats, so nothing will be known of repeatability."))
    if not counts.controls:
        found.append(_("There are no controls: a known-bad image shows that readers can find what is wrong."))
    if not counts.training:
        found.append(_("There are no training items; the first answers are then less sure."))
    shared = _patients_in_both(reading)
    if shared:
        found.append(
            ngettext(
                "%(n)d patient is in both arms: the anatomy of a real item was used for a synthetic one.",
                "%(n)d patients are in both arms: the anatomy of real items was used for synthetic ones.",
                shared,
            )
            % {"n": shared}
        )
    for place, datasets in places_unconfirmed(reading):
        found.append(
            _("%(reader)s may look into %(datasets)s and could recognise images.")
            % {"reader": place.user, "datasets": ", ".join(datasets)}
        )
    return found


def _patients_in_both(reading: Reading) -> int:
    truths = ItemTruth.objects.filter(item__reading=reading)
    real = set(truths.filter(arm=ItemTruth.Arm.REAL).values_list("patient", flat=True))
    return len(real & set(truths.filter(arm=ItemTruth.Arm.SYNTHETIC).values_list("patient", flat=True)))
