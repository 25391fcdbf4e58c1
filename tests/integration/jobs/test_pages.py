"""The pages of requests, jobs and results, asked for as a browser asks for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests import factories
from webapp.jobs.models import Job, SynthesisRequest
from webapp.jobs.services import (
    heartbeat_record,
    job_cancel,
    job_claim,
    job_finish,
    job_progress,
    job_submit,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]

FORM = {
    "modality": "CT",
    "severity": "severe",
    "steatosis": "0",
    "count": "2",
    "sampler": "rft",
    "steps": "4",
    "guidance": "1",
    "phantom_seed": "3",
}


@pytest.fixture
def model(db: None) -> Any:
    recipe = {
        "name": "m",
        "version": "1",
        "modalities": ["CT", "T1", "T2"],
        "image": {"rows": 128, "columns": 128, "normalisation": {"CT": {}, "T1": {}, "T2": {}}},
        "field": {"spacing_mm": [1.5, 6.0], "fov_mm": [200.0, 700.0]},
    }
    return factories.generative_model(recipe=recipe)


def form(model: Any, **changes: str) -> dict[str, str]:
    return {**FORM, "model": str(model.pk), **changes}


def test_handing_in_the_form_makes_a_request_and_shows_its_job(
    browser: Client, clinician: Any, model: Any
) -> None:
    answer = browser.post(reverse("jobs:synthesise"), form(model, seed="12", note="for the board"))
    request = SynthesisRequest.objects.get()
    assert answer.status_code == 302
    assert answer.url == reverse("jobs:job-detail", args=[request.jobs.get().pk])
    assert (request.owner, request.count, request.seed, request.note) == (clinician, 2, 12, "for the board")
    assert request.parameters["condition"]["severity"] == "severe"
    page = browser.get(answer.url).content.decode()
    assert "Severe cirrhosis, CT, 2 images" in page
    assert "no worker is running" in page
    assert "Cancel this job" in page


def test_what_the_model_was_not_trained_for_is_refused_with_the_nearest_value(
    browser: Client, model: Any
) -> None:
    wrong = form(model, steps="400", age="7")
    refused = browser.post(reverse("jobs:synthesise"), wrong)
    assert refused.status_code == 422
    assert not SynthesisRequest.objects.exists()
    check = browser.post(reverse("jobs:synthesise-check"), wrong).content.decode()
    assert 'value="steps:100"' in check
    assert 'value="age:18.0"' in check
    assert "Use 100" in check
    applied = browser.post(
        reverse("jobs:synthesise-apply"), {**wrong, "apply": "steps:100"}, headers={"HX-Request": "true"}
    ).content.decode()
    assert 'name="steps" value="100"' in applied
    assert "<html" not in applied


def test_the_check_says_that_a_running_job_comes_first(browser: Client, clinician: Any, model: Any) -> None:
    """Nobody waits, and yet the only worker has its hands full."""
    known: dict[str, Any] = {"queue": "compute", "host": "here", "device": "cpu", "warm_models": []}
    heartbeat_record(worker="w", job_id=None, started_at=timezone.now(), **known)
    browser.post(reverse("jobs:synthesise"), form(model))
    assert job_claim(queue="compute", worker="w") is not None
    check = browser.post(reverse("jobs:synthesise-check"), form(model)).content.decode()
    assert "it is next when the job that is running ends" in check
    heartbeat_record(worker="another", job_id=None, started_at=timezone.now(), **known)
    check = browser.post(reverse("jobs:synthesise-check"), form(model)).content.decode()
    assert "nobody is ahead in the queue" in check


def test_the_check_shows_what_the_model_is_told_and_what_will_happen(browser: Client, model: Any) -> None:
    check = browser.post(reverse("jobs:synthesise-check"), form(model)).content.decode()
    assert "2 images" in check
    assert "nobody is ahead in the queue" in check
    assert "data:image/png;base64," in check
    assert "liver" in check


def test_a_case_opens_the_form_on_its_mask_where_it_covers_most(
    browser: Client, clinician: Any, model: Any
) -> None:
    case = factories.case(dataset=factories.dataset(shares={clinician: "view"}), slices=3)
    bare = browser.get(reverse("jobs:synthesise"), {"case": case.pk}).content.decode()
    assert "no mask yet" in bare
    mask = factories.mask(case, case.dataset.owner)
    page = browser.get(reverse("jobs:synthesise"), {"case": case.pk, "mask": mask.pk, "slice": "2"})
    assert page.context["form"]["slice_number"].value() == 3
    assert page.context["form"]["mask"].value() == str(mask.pk)
    hidden = factories.case()
    assert browser.get(reverse("jobs:synthesise"), {"case": hidden.pk}).status_code == 404


def test_again_brings_back_every_setting_but_the_seed(browser: Client, clinician: Any, model: Any) -> None:
    browser.post(reverse("jobs:synthesise"), form(model, seed="12", steps="8", age="70", sex="M"))
    request = SynthesisRequest.objects.get()
    page = browser.get(reverse("jobs:synthesise"), {"again": request.pk})
    values = {
        name: page.context["form"][name].value() for name in ("steps", "age", "sex", "severity", "seed")
    }
    assert values == {"steps": 8, "age": 70.0, "sex": "M", "severity": "severe", "seed": None}
    assert page.context["form"]["phantom_seed"].value() == 3


def test_the_live_part_polls_until_the_job_is_over(browser: Client, clinician: Any) -> None:
    job = job_submit(kind="probe", owner=clinician, payload={}, queue="compute")
    address = reverse("jobs:job-fragment", args=[job.pk])
    first = browser.get(address)
    assert first.status_code == 200
    assert "every 1s" in first.content.decode()
    claim = job_claim(queue="compute", worker="w")
    assert claim is not None
    job_progress(job_id=job.pk, token=claim.token, step=3, steps_total=4, message="Image 1 of 1, step 3 of 4")
    running = browser.get(address).content.decode()
    assert "Step 3 of 4" in running
    assert "75 %" in running
    drawer = browser.get(reverse("jobs:drawer")).content.decode()
    assert 'hx-swap-oob="true">1<' in drawer
    job_finish(job_id=job.pk, token=claim.token)
    last = browser.get(address)
    assert last.status_code == 286
    assert "hx-trigger" not in last.content.decode()


def test_cancelling_by_button_answers_with_the_new_state(browser: Client, clinician: Any) -> None:
    job = job_submit(kind="probe", owner=clinician, payload={}, queue="compute")
    answer = browser.post(reverse("jobs:job-cancel", args=[job.pk]), headers={"HX-Request": "true"})
    assert 'data-state="cancelled"' in answer.content.decode()
    assert "Try again" in answer.content.decode()
    again = browser.post(reverse("jobs:job-retry", args=[job.pk]))
    assert Job.objects.get(retry_of=job).state == "queued"
    assert again.status_code == 302


def test_a_failure_is_told_in_words_and_its_traceback_only_to_administrators(
    browser: Client, clinician: Any, client_of: Callable[[Any], Client]
) -> None:
    from webapp.jobs.services import job_fail

    job = job_submit(kind="probe", owner=clinician, payload={}, queue="compute")
    claim = job_claim(queue="compute", worker="w")
    assert claim is not None
    job_fail(
        job_id=job.pk, token=claim.token, code="x", message="This mask has no liver.", detail="Traceback"
    )
    address = reverse("jobs:job-detail", args=[job.pk])
    mine = browser.get(address).content.decode()
    assert "This mask has no liver." in mine
    assert "Traceback" not in mine
    assert "Traceback" in client_of(factories.person("administrator")).get(address).content.decode()


def test_the_gallery_narrows_and_a_result_can_be_judged(browser: Client, clinician: Any) -> None:
    result = factories.result(clinician)
    address = reverse("jobs:result-detail", args=[result.pk])
    page = browser.get(address)
    assert [pane["title"] for pane in page.context["config"]["panes"]] == ["Synthetic image", "With its mask"]
    browser.post(
        reverse("jobs:result-decide", args=[result.pk]), {"decision": "rejected", "note": "no nodules"}
    )
    result.refresh_from_db()
    assert (result.decision, result.decision_note, result.decided_by) == ("rejected", "no nodules", clinician)
    gallery = reverse("jobs:result-list")
    assert str(result.pk) in browser.get(gallery, {"decision": "rejected"}).content.decode()
    assert str(result.pk) not in browser.get(gallery, {"decision": "accepted"}).content.decode()
    assert str(result.pk) not in browser.get(gallery, {"severity": "none"}).content.decode()
    browser.post(reverse("jobs:result-decide", args=[result.pk]), {"decision": ""})
    result.refresh_from_db()
    assert (result.decision, result.decided_at) == ("", None)


def test_the_picture_of_a_result_is_cached_by_its_pixels(browser: Client, clinician: Any) -> None:
    result = factories.result(clinician)
    address = reverse("jobs:result-image", args=[result.pk])
    first = browser.get(address)
    assert first["Content-Type"] == "image/png"
    again = browser.get(address, headers={"If-None-Match": first["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("role", factories.ROLES)
def test_the_dashboard_says_something_useful_to_everybody(
    role: str, client_of: Callable[[Any], Client], storage: Any
) -> None:
    person = factories.person(role)
    page = client_of(person).get(reverse("jobs:dashboard"))
    assert page.status_code == 200
    words = page.content.decode()
    if role == "annotator":
        assert "Your studies are under Readings" in words
    if role == "data_manager":
        assert "Make a dataset" in words


def test_a_waiting_job_tells_how_many_are_ahead(browser: Client, clinician: Any) -> None:
    jobs = [job_submit(kind="probe", owner=clinician, payload={}, queue="compute") for _ in range(3)]
    from django.utils import timezone

    from webapp.jobs.services import heartbeat_record

    heartbeat_record(
        worker="w",
        queue="compute",
        host="h",
        device="cpu",
        warm_models=[],
        job_id=None,
        started_at=timezone.now(),
    )
    page = browser.get(reverse("jobs:job-detail", args=[jobs[2].pk])).content.decode()
    assert "2 jobs ahead" in page
    job_cancel(user=clinician, job=jobs[0])
    page = browser.get(reverse("jobs:job-detail", args=[jobs[2].pk])).content.decode()
    assert "1 job ahead" in page


def fast_model(**sampler: Any) -> Any:
    recipe = {
        "name": "quick",
        "version": "1",
        "modalities": ["CT"],
        "image": {"rows": 128, "columns": 128, "normalisation": {"CT": {}}},
        "field": {"spacing_mm": [1.5, 6.0], "fov_mm": [200.0, 700.0]},
        "shortcut": {"segments": 8, "shift": 0.35},
        "sampler": sampler,
    }
    return factories.generative_model(name="quick", recipe=recipe)


def test_the_form_opens_with_the_sampler_and_steps_of_the_chosen_model(browser: Client, model: Any) -> None:
    quick = fast_model(name="shortcut", steps=2)
    for chosen, sampler, steps in ((model, "rft", 4), (quick, "shortcut", 2)):
        answer = browser.get(reverse("jobs:synthesise"), {"model": str(chosen.pk)})
        values = answer.context["form"]
        assert (values["sampler"].value(), values["steps"].value()) == (sampler, steps)


def test_another_model_brings_its_own_sampler_and_steps_and_keeps_the_wish(
    browser: Client, model: Any
) -> None:
    quick = fast_model(name="shortcut", steps=2)
    address = reverse("jobs:synthesise-apply")
    values = browser.post(address, form(quick, apply="model:", severity="mild")).context["form"]
    assert (values["sampler"].value(), values["steps"].value()) == ("shortcut", "2")
    assert values["severity"].value() == "mild"
    values = browser.post(address, form(model, apply="model:", sampler="shortcut")).context["form"]
    assert (values["sampler"].value(), values["steps"].value()) == ("rft", "4")


@pytest.mark.parametrize("own", [{"name": "no such", "steps": 2}, {"steps": 2}, {"name": 3, "steps": "x"}])
def test_a_recipe_whose_own_sampler_makes_no_sense_gets_the_usual_one(browser: Client, own: Any) -> None:
    quick = fast_model(**own)
    values = browser.get(reverse("jobs:synthesise"), {"model": str(quick.pk)}).context["form"]
    assert (values["sampler"].value(), values["steps"].value()) == ("rft", 4)


def test_long_steps_are_refused_where_they_were_not_learned(browser: Client, model: Any) -> None:
    answer = browser.post(reverse("jobs:synthesise"), form(model, sampler="shortcut", steps="2"))
    assert answer.status_code == 422
    assert "did not learn to draw in long steps" in answer.content.decode()
    answer = browser.post(
        reverse("jobs:synthesise"),
        form(fast_model(name="shortcut", steps=2), sampler="shortcut", steps="20"),
    )
    assert "1 to 8 steps, not 20" in answer.content.decode()
