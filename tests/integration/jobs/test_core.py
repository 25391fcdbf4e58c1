"""The job core without workers: states, leases, tokens, turns, quotas."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.http import Http404

from synthesis.errors import Cancelled
from tests import factories
from webapp.core.errors import Conflict as Refused
from webapp.core.models import AuditEvent
from webapp.jobs.clock import database_now
from webapp.jobs.models import Job, JobEvent, Quota
from webapp.jobs.selectors import queue_order, queue_position
from webapp.jobs.services import (
    Claim,
    Conflict,
    LeaseLost,
    QuotaReached,
    Signal,
    job_cancel,
    job_cancelled,
    job_claim,
    job_fail,
    job_finish,
    job_lost,
    job_progress,
    job_release,
    job_renew,
    job_requeue,
    job_retry,
    job_signal,
    job_stage,
    job_submit,
    jobs_reap,
)
from webapp.jobs.transitions import move

pytestmark = [pytest.mark.both, pytest.mark.django_db(transaction=True)]


def submit(owner: Any, **fields: Any) -> Job:
    return job_submit(kind="probe", owner=owner, payload={}, queue="compute", **fields)


def claim(worker: str = "w", queue: str = "compute") -> Claim:
    got = job_claim(queue=queue, worker=worker)
    assert got is not None
    return got


def expire(job: Job) -> None:
    """Let the lease of a running job run out."""
    Job.objects.filter(pk=job.pk).update(lease_expires_at=database_now() - timedelta(seconds=1))


@pytest.fixture
def owner() -> Any:
    return factories.person("researcher")


def test_a_stale_token_can_write_nothing_at_all(owner: Any) -> None:
    job = submit(owner)
    stale = claim("first")
    expire(job)
    assert jobs_reap() == 1
    fresh = claim("second")
    assert fresh.job_id == stale.job_id
    assert fresh.token > stale.token
    held = {"job_id": job.pk, "token": stale.token}
    assert job_renew(**held) is False
    assert job_signal(**held) is Signal.LOST
    assert job_progress(**held, step=1, steps_total=2) is Signal.LOST
    for write in (
        lambda: job_finish(**held),
        lambda: job_fail(**held, code="x", message="x"),
        lambda: job_cancelled(**held),
        lambda: job_requeue(**held, note="x"),
        lambda: job_release(**held, note="x"),
        lambda: job_lost(**held, note="x"),
        lambda: job_stage(**held, stage="x", seconds=1),
    ):
        with pytest.raises(LeaseLost):
            write()
    job.refresh_from_db()
    assert (job.state, job.lease_token, job.step) == ("running", fresh.token, 0)
    job_finish(job_id=job.pk, token=fresh.token, outcome={"by": "second"})
    job.refresh_from_db()
    assert job.outcome == {"by": "second"}


def test_every_change_of_state_is_counted_and_kept(owner: Any) -> None:
    job = submit(owner)
    got = claim()
    job_finish(job_id=job.pk, token=got.token)
    events = JobEvent.objects.filter(job=job).values_list("sequence", "state")
    assert list(events) == [(0, "queued"), (1, "running"), (2, "succeeded")]


def test_a_change_from_an_old_reading_is_refused(owner: Any) -> None:
    job = submit(owner)
    old = Job.objects.get(pk=job.pk)
    claim()
    with transaction.atomic(), pytest.raises(Conflict):
        move(old, Job.State.CANCELLED)
    with pytest.raises(ValueError, match="queued job cannot become succeeded"):
        move(old, Job.State.SUCCEEDED)


def test_tokens_only_rise_across_all_jobs_of_a_queue(owner: Any) -> None:
    jobs = [submit(owner) for _ in range(5)]
    tokens = [claim().token for _ in jobs]
    assert tokens == sorted(set(tokens))


def test_cancelling_a_waiting_job_is_immediate_and_leaves_the_others(owner: Any) -> None:
    first, second = submit(owner), submit(owner)
    assert job_cancel(user=owner, job=first).state == "cancelled"
    assert claim().job_id == second.pk
    with pytest.raises(Refused):
        job_cancel(user=owner, job=first)
    assert AuditEvent.objects.filter(action="job.cancelled", object_id=str(first.pk)).count() == 1


def test_a_cancel_before_the_end_wins_over_the_result(owner: Any) -> None:
    job = submit(owner)
    got = claim()
    assert job_cancel(user=owner, job=job).state == "cancelling"
    assert job_cancel(user=owner, job=job).state == "cancelling"
    assert job_signal(job_id=job.pk, token=got.token) is Signal.CANCEL
    with pytest.raises(Cancelled):
        job_finish(job_id=job.pk, token=got.token)
    job_cancelled(job_id=job.pk, token=got.token)
    job.refresh_from_db()
    assert job.state == "cancelled"


@pytest.mark.parametrize("end", ["fail", "requeue", "release", "reap"])
def test_a_job_that_is_being_cancelled_ends_cancelled_whatever_else_happens(owner: Any, end: str) -> None:
    job = submit(owner)
    held = {"job_id": job.pk, "token": claim().token}
    job_cancel(user=owner, job=job)
    if end == "fail":
        job_fail(**held, code="x", message="x")
    elif end == "requeue":
        job_requeue(**held, note="x")
    elif end == "release":
        job_release(**held, note="x")
    else:
        expire(job)
        jobs_reap()
    job.refresh_from_db()
    assert job.state == "cancelled"


def test_people_take_turns_and_priority_counts_only_among_ones_own(owner: Any) -> None:
    other = factories.person("clinician")
    mine = [submit(owner) for _ in range(3)]
    urgent = submit(owner, priority=5)
    theirs = [submit(other, priority=-5) for _ in range(2)]
    foreseen = queue_order("compute")
    taken = []
    for _ in range(6):
        got = claim()
        taken.append(got.job_id)
        job_finish(job_id=got.job_id, token=got.token)
    assert taken == [urgent.pk, theirs[0].pk, mine[0].pk, theirs[1].pk, mine[1].pk, mine[2].pk]
    assert foreseen == taken


def test_whoever_has_fewer_jobs_running_is_served_first(owner: Any) -> None:
    other = factories.person("clinician")
    for _ in range(3):
        submit(owner)
    claim(), claim()
    late = submit(other)
    assert queue_position(late) == 0
    assert claim().job_id == late.pk


def test_the_queue_position_counts_those_who_start_before(owner: Any) -> None:
    jobs = [submit(owner) for _ in range(3)]
    assert [queue_position(job) for job in jobs] == [0, 1, 2]
    got = claim()
    jobs[0].refresh_from_db()
    assert queue_position(jobs[0]) is None
    assert queue_position(jobs[1]) == 0
    assert got.job_id == jobs[0].pk


def test_the_quota_refuses_in_plain_words_and_keeps_what_was_there(owner: Any, settings: Any) -> None:
    settings.JOB_QUOTA = 2
    submit(owner), submit(owner)
    with pytest.raises(QuotaReached, match="You already have 2 jobs waiting or running, and the limit is 2"):
        submit(owner)
    assert Job.objects.filter(owner=owner).count() == 2
    Quota.objects.create(user=owner, active_jobs=3)
    submit(owner)
    submit(factories.person("researcher"))


def test_a_retry_is_a_new_job_that_names_the_old_one(owner: Any) -> None:
    job = submit(owner)
    with pytest.raises(Refused):
        job_retry(user=owner, job=job)
    job_cancel(user=owner, job=job)
    again = job_retry(user=owner, job=job)
    assert (again.retry_of_id, again.state, again.payload) == (job.pk, "queued", job.payload)
    with pytest.raises(Refused, match="already tried again"):
        job_retry(user=owner, job=job)


def test_strangers_cannot_even_see_a_job(owner: Any) -> None:
    job = submit(owner)
    for user in (factories.person("researcher"), factories.person("annotator")):
        with pytest.raises(Http404):
            job_cancel(user=user, job=job)
    job_cancel(user=factories.person("administrator"), job=job)


def test_the_reaper_leaves_living_jobs_alone_and_sets_deadly_ones_aside(owner: Any) -> None:
    healthy, deadly = submit(owner, priority=1), submit(owner)
    held = claim()
    assert held.job_id == healthy.pk
    for round_ in (1, 2):
        claim()
        expire(deadly)
        assert jobs_reap() == 1, round_
        assert jobs_reap() == 0
    healthy.refresh_from_db()
    deadly.refresh_from_db()
    assert healthy.state == "running"
    assert (deadly.state, deadly.reason, deadly.kills) == ("failed", "quarantined", 2)


def test_the_reaper_catches_a_stage_that_overran_though_its_lease_lives(owner: Any, settings: Any) -> None:
    settings.JOB_LEASE_SECONDS = 5.0
    job = submit(owner)
    got = claim()
    job_stage(job_id=job.pk, token=got.token, stage="sampling", seconds=0)
    assert jobs_reap() == 0  # the worker's own watchdog comes first
    Job.objects.filter(pk=job.pk).update(stage_deadline_at=database_now() - timedelta(seconds=6))
    assert jobs_reap() == 1
    job.refresh_from_db()
    assert job.state == "queued"
    assert "sampling" in job.events.latest("sequence").note


def test_the_database_itself_refuses_impossible_rows(owner: Any) -> None:
    job = submit(owner)
    for impossible in (
        {"state": "running"},
        {"state": "succeeded"},
        {"state": "asleep"},
        {"progress": 1.5},
        {"queue": "gpu"},
        {"lease_expires_at": database_now()},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Job.objects.filter(pk=job.pk).update(**impossible)


def test_many_workers_at_once_never_take_the_same_job(owner: Any) -> None:
    jobs = {submit(owner).pk for _ in range(24)}
    taken: list[Any] = []
    errors: list[BaseException] = []
    gate = threading.Barrier(6)

    def work(name: str) -> None:
        try:
            gate.wait()
            while (got := job_claim(queue="compute", worker=name)) is not None:
                taken.append((got.job_id, got.token))
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    # A claim may find the last rows locked by its neighbours and go home; a later look takes them.
    while (got := job_claim(queue="compute", worker="last")) is not None:
        taken.append((got.job_id, got.token))
    assert len(taken) == 24
    assert {job_id for job_id, _ in taken} == jobs
    assert len({token for _, token in taken}) == 24


def test_cancel_and_claim_at_the_same_moment_agree(owner: Any) -> None:
    for _ in range(15):
        job = submit(owner)
        gate = threading.Barrier(2)
        got: list[Claim | None] = []

        def take(gate: Any = gate, got: Any = got) -> None:
            gate.wait()
            got.append(job_claim(queue="compute", worker="w"))
            connection.close()

        thread = threading.Thread(target=take)
        thread.start()
        gate.wait()
        job_cancel(user=owner, job=job)
        thread.join()
        job.refresh_from_db()
        if got[0] is None:
            assert job.state == "cancelled"
        else:
            assert job.state == "cancelling"
            job_cancelled(job_id=job.pk, token=got[0].token)
