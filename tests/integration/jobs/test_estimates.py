"""How long a counterfactual takes, by what others took: each weighed by what it really ran."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from tests import factories
from tests.factories_edits import CHANGE, edit_request
from webapp.jobs.estimates import TRIES_BACK, calls_of, job_seconds, pace_of
from webapp.jobs.models import Job

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]
STEPS = 8
BACK = 4.0  # seconds of a way back; a way forth takes one


def wish(*, undo: bool, method: str = "flow_inversion") -> dict[str, Any]:
    return CHANGE | {"edit": {"method": method, "steps": STEPS, "undo": undo}}


def done(request: Any, *, seconds: float, steps_total: int, **outcome: Any) -> None:
    """The request's job is over; it drew for that long."""
    spent = {"starting": 1.0, "drawing": seconds, "saving": 1.0}
    request.jobs.update(
        state=Job.State.SUCCEEDED,
        finished_at=timezone.now(),
        steps_total=steps_total,
        outcome={"seconds": spent, **outcome},
    )


def test_undoing_takes_two_ways_back_and_three_forth(clinician: Any, case: Any) -> None:
    model = factories.generative_model()
    plain = edit_request(clinician, case=case, model=model, parameters=wish(undo=False))
    done(plain, seconds=BACK + 1, steps_total=2 * STEPS, runs=1)
    undone = edit_request(clinician, case=case, model=model, parameters=wish(undo=True))
    assert job_seconds(undone.jobs.get()) == pytest.approx(2 + 2 * BACK + 3)


@pytest.mark.parametrize("told", [{}, {"runs": 2}], ids=["counted", "told"])
def test_older_jobs_count_for_the_runs_that_they_made(
    clinician: Any, case: Any, told: dict[str, int]
) -> None:
    """They went there and back, without the run that changes nothing: the steps that they counted say so."""
    model = factories.generative_model()
    for _ in range(3):
        old = edit_request(clinician, case=case, model=model, parameters=wish(undo=True))
        done(old, seconds=2 * BACK + 2, steps_total=2 * 2 * STEPS, **told)
    pace = pace_of(model.pk, method="flow_inversion")
    assert pace is not None
    again = edit_request(clinician, case=case, model=model, parameters=wish(undo=True))
    assert job_seconds(again.jobs.get()) == pytest.approx(2 + 2 * BACK + 3)
    assert pace.seconds(calls_of(wish(undo=False), 1)) == pytest.approx(2 + BACK + 1)


def test_what_no_count_of_steps_can_tell_is_taken_as_it_is_now() -> None:
    guided = wish(undo=True, method="guided")
    assert calls_of(guided, 1) == 3 * calls_of(wish(undo=False, method="guided"), 1)
    flow = wish(undo=True) | {"slices": {"first": 0, "last": 4, "edited": 5}}
    assert calls_of(flow, 2) == 2 * 5 * STEPS * (2 + 3 / TRIES_BACK)
