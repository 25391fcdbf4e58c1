"""How long a job will take, from what the same model took on the machines that are at work now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from synthesis.edit_request import ROUND_TRIPS, WAYS_UNDONE
from synthesis.imaging.uncertainty import Options
from webapp.jobs.clock import database_now
from webapp.jobs.heartbeats import workers_alive, workers_busy
from webapp.jobs.models import Job
from webapp.jobs.selectors import queue_ahead, queue_order

HISTORY = 20
TRIES_BACK = 4  # calls until a step of the exact way back has settled, about
GRADIENT = 3  # what a gradient through the network costs, in its calls
DRAWING = "drawing"
PREPARING = "preparing"
"""The stages whose length goes with the number of steps, or of slices; all the others are overhead."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Median seconds that a job spends besides preparing and drawing, and on these per network call."""

    overhead: float
    per_call: float

    def seconds(self, calls: float) -> float:
        """What a job with that many calls will take."""
        return self.overhead + self.per_call * calls


def calls_of(parameters: Mapping[str, Any], count: int, *, runs: int | None = None) -> float:
    """Network calls of a request: images x steps, twice for Heun's steps, twice again under guidance.

    An uncertainty map adds what its probes cost. runs: how often a counterfactual's method was run, where
    that is known; else as often as it would be now.
    """
    if "edit" in parameters:
        return edit_calls(parameters["edit"], count, slices=_slices(parameters), runs=runs)
    sampler = parameters.get("sampler", {})
    calls = count * int(sampler.get("steps", 1))
    by_heun = sampler.get("name") == "heun" or (sampler.get("name") == "rft" and sampler.get("heun"))
    calls *= 2 if by_heun else 1
    calls *= 2 if float(sampler.get("guidance", 1.0)) != 1.0 else 1
    return calls + (count * Options().calls if parameters.get("uncertainty") else 0)


def edit_calls(options: Mapping[str, Any], count: int, *, slices: int = 1, runs: int | None = None) -> float:
    """What a counterfactual costs, in units that all edits by its method share: images x steps x runs.

    Of `flow_inversion` the unit is a way back: the run that changes nothing begins where the change began,
    so two ways back serve three runs, and a way forth costs a call where a way back takes TRIES_BACK.
    """
    steps = int(options.get("steps", 1)) if options.get("method") != "guided" else 1
    runs = runs or (WAYS_UNDONE if options.get("undo") else 1)
    if options.get("method", "flow_inversion") == "flow_inversion":
        return slices * count * steps * (min(runs, 2) + runs / TRIES_BACK)
    return slices * count * steps * _per_step(options) * runs


def runs_made(outcome: Mapping[str, Any], parameters: Mapping[str, Any], steps_total: int) -> int | None:
    """How often a finished counterfactual ran its method on each slice; None where that is not known.

    Jobs say so themselves; older ones are told by the steps that they counted, as many back as forth.
    """
    if "runs" in outcome:
        return int(outcome["runs"])
    options = parameters.get("edit") or {}
    once = _slices(parameters) * 2 * int(options.get("steps", 1))
    if options.get("method") not in ROUND_TRIPS or not steps_total or steps_total % once:
        return None
    return steps_total // once


def _slices(parameters: Mapping[str, Any]) -> int:
    return int((parameters.get("slices") or {}).get("edited", 1))


def _per_step(options: Mapping[str, Any]) -> int:
    """The network's calls in a step, where a method's settings decide how many these are."""
    if options.get("method") != "pix2pix_zero":
        return 1
    led = 2 if options.get("guidance") not in (None, 1) else 1
    back = 1 if options.get("regularisation") else TRIES_BACK
    held = led + GRADIENT if options.get("attention") != 0 else 0
    return back + held + led * (2 if options.get("confined") else 1)


def pace_of(model_id: Any, adapter_id: Any = None, *, method: str = "") -> Pace | None:
    """How fast this model runs, by the last jobs done on the devices that are at work now.

    With an adapter by that adapter's jobs, where there are any; with a method by the counterfactuals that
    were made by it. None until the model has run here at all.
    """
    done = Job.objects.filter(state=Job.State.SUCCEEDED, request__model_id=model_id)
    if method:
        done = done.filter(kind="counterfactual", request__parameters__edit__method=method)
    else:
        done = done.filter(kind="synthesise")
    alike = done.filter(request__adapter_id=adapter_id)
    done = alike if alike.exists() else done
    here = {f"{row.host} {row.device}".strip() for row in workers_alive(Job.Queue.COMPUTE)}
    rows = _history(done.filter(ran_on__in=here)) if here else []
    rows = rows or _history(done)
    if not rows:
        return None
    return Pace(
        overhead=median(sum(spent.values()) - _by_call(spent) for spent, _ in rows),
        per_call=median(_by_call(spent) / calls for spent, calls in rows),
    )


def _by_call(spent: Mapping[str, float]) -> float:
    return spent.get(DRAWING, 0.0) + spent.get(PREPARING, 0.0)


def _history(jobs: Any) -> list[tuple[dict[str, float], float]]:
    columns = ("outcome", "request__parameters", "request__count", "steps_total")
    found = []
    for outcome, parameters, count, steps in jobs.order_by("-finished_at").values_list(*columns)[:HISTORY]:
        calls = calls_of(parameters, count, runs=runs_made(outcome, parameters, steps))
        if outcome.get("seconds") and calls:
            found.append((outcome["seconds"], calls))
    return found


def queue_told(user: Any) -> dict[str, Any]:
    """How many jobs are ahead of a new one, and whether anybody is there to do it, or is at work."""
    queue = Job.Queue.COMPUTE
    return {
        "ahead": queue_ahead(user, queue),
        "has_worker": bool(workers_alive(queue)),
        "busy": workers_busy(queue),
    }


def job_seconds(job: Job, paces: dict[Any, Pace | None] | None = None) -> float | None:
    """What the whole job will take once it has begun; None where nothing is known."""
    if job.request is None:
        return None
    paces = {} if paces is None else paces
    method = str(job.request.parameters.get("edit", {}).get("method", ""))
    key = (job.request.model_id, job.request.adapter_id, method)
    if key not in paces:
        paces[key] = pace_of(job.request.model_id, job.request.adapter_id, method=method)
    pace = paces[key]
    return None if pace is None else pace.seconds(calls_of(job.request.parameters, job.request.count))


def job_eta(job: Job) -> float | None:
    """Seconds until the job is done, as far as that can be told: None where nothing is known.

    A running job is judged by history at first and more and more by its own pace; a waiting one waits
    for those ahead of it, spread over the workers that are alive.
    """
    if job.state == Job.State.QUEUED:
        return _eta_waiting(job)
    if job.state == Job.State.RUNNING:
        return _eta_running(job)
    return None


def _eta_running(job: Job) -> float | None:
    if job.started_at is None:
        return None
    elapsed = (database_now() - job.started_at).total_seconds()
    known = job_seconds(job)
    own = elapsed * (1 - job.progress) / job.progress if job.progress > 0.02 else None
    if known is None:
        return own
    by_history = max(0.0, known - elapsed)
    return by_history if own is None else (1 - job.progress) * by_history + job.progress * own


def _eta_waiting(job: Job) -> float | None:
    paces: dict[Any, Pace | None] = {}
    mine = job_seconds(job, paces)
    order = queue_order(job.queue)
    ahead_ids = order[: order.index(job.pk)] if job.pk in order else []
    ahead = Job.objects.filter(pk__in=ahead_ids[:200]).select_related("request").defer("request__labels")
    before = [job_seconds(other, paces) for other in ahead]
    running = Job.objects.filter(queue=job.queue, state=Job.State.RUNNING).select_related("request")
    before += [_eta_running(other) for other in running.defer("request__labels")]
    if mine is None or any(seconds is None for seconds in before):
        return None
    workers = max(1, len(workers_alive(job.queue)))
    return mine + sum(seconds for seconds in before if seconds is not None) / workers


def in_words(seconds: float | None) -> str:
    """A length of time as people say it: "about 3 s", "about 2 min", "about 1 h 20 min"."""
    if seconds is None:
        return ""
    if seconds < 1:
        return "under 1 s"
    if seconds < 90:
        return f"about {round(seconds)} s"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"about {hours} h {minutes} min"
