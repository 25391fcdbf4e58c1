"""`manage.py install_model`: what is said while a worker installs, and what is raised where it does not."""

from collections.abc import Callable
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests import factories
from webapp.jobs.claims import Claim, job_cancelled, job_claim, job_fail, job_finish, job_stage
from webapp.jobs.models import Job
from webapp.jobs.services import job_cancel
from webapp.registry.management.commands import install_model

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]

Step = Callable[[Claim], Any]


def stage(message: str) -> Step:
    """A worker enters a stage."""
    return lambda claim: job_stage(
        job_id=claim.job_id, token=claim.token, stage=message[:20], seconds=60.0, message=message
    )


def finish(**outcome: Any) -> Step:
    """A worker ends the job well."""
    return lambda claim: job_finish(job_id=claim.job_id, token=claim.token, outcome=outcome)


def fail(message: str) -> Step:
    """A worker ends the job with a sentence."""
    return lambda claim: job_fail(job_id=claim.job_id, token=claim.token, code="refused", message=message)


def cancel(claim: Claim) -> None:
    """Somebody cancels the job, and the worker stops it."""
    job = Job.objects.get(pk=claim.job_id)
    job_cancel(user=job.owner, job=job)
    job_cancelled(job_id=claim.job_id, token=claim.token)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """The command's lines while a worker takes the job at the first wait and one more step at each other."""

    def lines(*steps: Step, wait_lasts: float = 0.2) -> list[str]:
        factories.person("data_manager")
        left = iter(steps)
        claims: list[Claim] = []
        clock = [0.0]

        def sleep(seconds: float) -> None:
            assert seconds > 0
            clock[0] += wait_lasts
            if claims:
                step = next(left, None)
                assert step is not None, "it goes on waiting for a job that has ended"
                step(claims[0])
                return
            claim = job_claim(queue=Job.Queue.COMPUTE, worker="compute@test:1")
            assert claim is not None
            claims.append(claim)

        time = SimpleNamespace(sleep=sleep, monotonic=lambda: clock[0])
        monkeypatch.setattr(install_model, "time", time)
        out = StringIO()
        call_command("install_model", "/models/tiny", timeout=600.0, stdout=out)
        return out.getvalue().splitlines()

    return lines


def test_each_stage_is_said_once_and_then_the_end(said: Callable[..., list[str]]) -> None:
    found = said(
        stage("Checking the weights"),
        stage("Checking the weights"),
        stage("Reading part 1 of 2"),
        stage("Drawing one image"),
        finish(offered=True),
    )
    assert found == [
        f"Job {Job.objects.get().pk} is waiting for a worker.",
        "Checking the weights …",
        "Reading part 1 of 2 …",
        "Drawing one image …",
        install_model.OFFERED,
    ]


def test_a_withdrawn_model_is_not_said_to_be_offered(said: Callable[..., list[str]]) -> None:
    assert said(finish(offered=False))[-1] == install_model.WITHDRAWN


def test_the_sentence_of_a_failed_job_is_the_commands_error(said: Callable[..., list[str]]) -> None:
    with pytest.raises(CommandError, match=r"^This file holds no model\.$"):
        said(stage("Checking the weights"), fail("This file holds no model."))


def test_a_cancelled_job_is_an_error_too(said: Callable[..., list[str]]) -> None:
    with pytest.raises(CommandError, match="cancelled"):
        said(stage("Checking the weights"), cancel)


def test_patience_ends_and_says_where_the_job_stands(said: Callable[..., list[str]]) -> None:
    with pytest.raises(CommandError, match=r"is running after 600 s\. See it on the Jobs page"):
        said(stage("Checking the weights"), wait_lasts=350.0)


def test_the_worker_is_told_the_path(said: Callable[..., list[str]]) -> None:
    said(finish(offered=True))
    assert Job.objects.get().payload == {"path": "/models/tiny"}
    assert Job.objects.get().kind == "install_model"
