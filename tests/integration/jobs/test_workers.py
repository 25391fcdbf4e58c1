"""The job core with real workers: killed, hung, cancelled, woken twice and not at all."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests import factories
from tests.integration.jobs.conftest import DEADLINE, Probes, Workers, purge, wait_for
from webapp.jobs.dispatch import wake
from webapp.jobs.models import Job
from webapp.jobs.services import job_cancel, job_retry, job_submit

pytestmark = [pytest.mark.both, pytest.mark.slow]


def test_a_job_runs_once_though_it_is_announced_many_times(workers: Workers, probes: Probes) -> None:
    workers.start()
    workers.start()
    job = probes.submit(steps=3, pause=0.05)
    for _ in range(10):
        wake(queue=job.queue, job_id=job.pk)
    probes.wait(job, "succeeded")
    after = probes.submit(steps=1)
    for _ in range(5):
        wake(queue=job.queue, job_id=job.pk)
    probes.wait(after, "succeeded")
    assert probes.counts("begin")[str(job.pk)] == 1
    assert [event.state for event in job.events.all()] == ["queued", "running", "succeeded"]
    assert job.attempts == 1
    assert job.progress == 1.0


def test_a_message_wakes_an_idle_worker_long_before_it_would_look_itself(
    workers: Workers, probes: Probes
) -> None:
    workers.start(JOB_POLL_SECONDS="3600")
    job = probes.submit(steps=1)
    probes.wait(job, "succeeded")


def test_a_killed_workers_job_is_finished_once_by_another(
    workers: Workers, probes: Probes, tmp_path: Path
) -> None:
    first = workers.start()
    lingered = tmp_path / "lingered"
    job = probes.submit(steps=3, at={"step": 2, "do": "linger", "once": str(lingered)})
    wait_for(lingered.exists, why="the job did not come to its second step")
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = workers.start()
    probes.wait(job, "succeeded")
    assert [row[3] for row in probes.lines("begin", job)] == [str(first.pid), str(second.pid)]
    assert len(probes.lines("end", job)) == 1
    assert job.kills == 1
    assert [event.state for event in job.events.all()] == [
        "queued",
        "running",
        "queued",
        "running",
        "succeeded",
    ]


def test_an_emptied_broker_loses_nothing(workers: Workers, probes: Probes) -> None:
    jobs = [probes.submit(steps=1) for _ in range(5)]
    purge()
    workers.start()
    for job in jobs:
        probes.wait(job, "succeeded")
    assert set(probes.counts("end").values()) == {1}


def test_cancel_stops_the_running_job_within_one_step_and_only_this_one(
    workers: Workers, probes: Probes
) -> None:
    workers.start()
    owner = factories.person("researcher")
    running = probes.submit(owner, steps=200, pause=0.2)
    waiting = probes.submit(owner, steps=2)
    wait_for(lambda: probes.lines("step", running), why="the job did not begin")
    job_cancel(user=owner, job=running)
    done = len(probes.lines("step", running))
    probes.wait(running, "cancelled")
    assert len(probes.lines("step", running)) <= done + 1  # the one under way
    assert not probes.lines("end", running)
    probes.wait(waiting, "succeeded")


def test_a_cancel_that_races_with_the_end_never_hits_the_next_job(workers: Workers, probes: Probes) -> None:
    workers.start()
    owner = factories.person("researcher")
    jobs = [probes.submit(owner, steps=2, pause=0.01) for _ in range(40)]
    targets = jobs[::2]
    from webapp.core.errors import Conflict

    for target in targets:
        wait_for(
            lambda target=target: probes.lines("begin", target) or Job.objects.get(pk=target.pk).is_finished,
            why="the job did not begin",
        )
        try:
            job_cancel(user=owner, job=target)
        except Conflict:
            continue
    for job in jobs[1::2]:
        probes.wait(job, "succeeded", "failed", "cancelled")
        assert job.state == "succeeded"
    for target in targets:
        probes.wait(target, "succeeded", "cancelled")
        assert target.state == "cancelled" or len(probes.lines("end", target)) == 1


def test_a_job_that_kills_its_worker_twice_is_set_aside(workers: Workers, probes: Probes) -> None:
    owner = factories.person("researcher")
    deadly = probes.submit(owner, steps=2, at={"step": 1, "do": "kill"})
    for _ in range(2):
        assert workers.start_and_see_it_die() == -signal.SIGKILL
    workers.start()
    probes.wait(deadly, "failed")
    assert deadly.reason == "quarantined"
    assert "stopped its worker 2 times" in deadly.error_message
    assert len(probes.lines("begin", deadly)) == 2
    healthy = probes.submit(owner, steps=1)
    probes.wait(healthy, "succeeded")
    again = job_retry(user=owner, job=deadly)
    assert again.retry_of_id == deadly.pk
    assert again.kills == 0


def test_a_hang_is_caught_by_the_stage_limit(workers: Workers, probes: Probes, tmp_path: Path) -> None:
    once = {"step": 2, "do": "hang", "once": str(tmp_path / "hung")}
    job = probes.submit(steps=3, limit=4.0, at=once)  # the second try has to be through by then
    hung = workers.start()
    assert hung.wait(timeout=DEADLINE) == 70
    job.refresh_from_db()
    assert job.state == "queued"
    assert job.kills == 1
    workers.start()
    probes.wait(job, "succeeded")
    assert len(probes.lines("end", job)) == 1


def test_trouble_that_passes_is_tried_again_and_trouble_that_stays_is_told(
    workers: Workers, probes: Probes, tmp_path: Path
) -> None:
    workers.start()
    passing = probes.submit(steps=2, at={"step": 1, "do": "error", "once": str(tmp_path / "erred")})
    staying = probes.submit(steps=2, at={"step": 1, "do": "error"})
    refused = probes.submit(steps=2, at={"step": 1, "do": "refuse"})
    probes.wait(passing, "succeeded")
    assert passing.attempts == 2
    probes.wait(staying, "failed")
    assert staying.attempts == 3
    assert "Nothing was saved" in staying.error_message
    assert "disk is full" in staying.error_detail
    probes.wait(refused, "failed")
    assert refused.attempts == 1
    assert refused.error_message == "This mask has no liver."


def test_a_worker_that_is_stopped_in_good_order_gives_its_job_back_at_once(
    workers: Workers, probes: Probes, tmp_path: Path
) -> None:
    first = workers.start()
    lingered = tmp_path / "lingered"
    job = probes.submit(steps=3, at={"step": 2, "do": "linger", "once": str(lingered)})
    wait_for(lingered.exists, why="the job did not come to its second step")
    first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=DEADLINE) == 0
    job.refresh_from_db()
    assert (job.state, job.attempts, job.kills) == ("queued", 0, 0)
    workers.start()
    probes.wait(job, "succeeded")


def test_the_records_worker_never_loads_torch(workers: Workers, probes: Probes) -> None:
    workers.start("records")
    job = probes.submit(queue="records", steps=1)
    probes.wait(job, "succeeded")
    assert job.outcome["torch"] is False


def test_what_takes_long_to_import_is_there_before_the_first_job_is_taken(
    workers: Workers, probes: Probes
) -> None:
    """However long the import lasts, no lease runs out over it, for none is held yet."""
    waiting = probes.submit(steps=1)
    workers.start(WORKER_PRELOAD="1")
    probes.wait(waiting, "succeeded")
    assert waiting.outcome["loaded"] == ["torch", "diffusers", "transformers", "peft"]
    assert [event.state for event in waiting.events.all()] == ["queued", "running", "succeeded"]
    assert (waiting.attempts, waiting.kills) == (1, 0)


def test_two_hundred_jobs_of_four_people_are_shared_fairly(workers: Workers, probes: Probes) -> None:
    people = [factories.person("researcher") for _ in range(4)]
    # One after the other hands in fifty: whoever came last must not wait for the other hundred and fifty.
    mine = {
        str(
            job_submit(kind="probe", owner=owner, payload={"log": str(probes.log)}, queue="compute").pk
        ): owner
        for owner in people
        for _ in range(50)
    }
    workers.start()
    workers.start()
    wait_for(
        lambda: len(probes.lines("end")) == 200, why=f"only {len(probes.lines('end'))} of 200 jobs ended"
    )
    unfinished = Job.objects.filter(kind="probe", finished_at=None)
    wait_for(lambda: not unfinished.exists(), why="the end of a job was not written")  # after its last line
    assert set(probes.counts("begin").values()) == {1}
    claims = list(Job.objects.filter(kind="probe").order_by("lease_token"))
    assert len({job.lease_token for job in claims}) == 200
    assert {mine[str(job.pk)] for job in claims[:8]} == set(people)
    # While a person waits with nothing running, nobody else is served twice. (Twice is allowed for: a job's
    # end may be written at the very moment of a claim. Whoever's job sits on a slow worker rightly waits.)
    left = Counter(mine.values())
    ended: dict[Any, Any] = {}
    overtaken: dict[Any, Counter[Any]] = {owner: Counter() for owner in people}
    for job in claims:
        owner = mine[str(job.pk)]
        for waiting in people:
            has_nothing_running = waiting not in ended or ended[waiting] <= job.started_at
            if waiting != owner and left[waiting] and has_nothing_running:
                overtaken[waiting][owner] += 1
                assert overtaken[waiting][owner] <= 2, overtaken
        left[owner] -= 1
        overtaken[owner].clear()
        ended[owner] = max(ended.get(owner, job.finished_at), job.finished_at)


def test_workers_are_real_processes_of_their_own(workers: Workers, probes: Probes) -> None:
    process = workers.start()
    job = probes.submit(steps=1)
    probes.wait(job, "succeeded")
    assert job.outcome["pid"] == process.pid != os.getpid()
