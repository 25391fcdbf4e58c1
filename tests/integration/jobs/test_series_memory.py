"""What a long series takes: memory that hardly grows with its slices, and work that is done once."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from synthesis.request import Condition
from tests.factories_edits import CHANGE, edit_form, edit_request
from tests.factories_long import SIDE, long_case
from tests.factories_models import tiny_model, tiny_recipe
from tests.factories_series import part, partly_masked_case
from webapp.jobs import series_plan
from webapp.jobs.models import Result
from webapp.jobs.series_plan import SeriesWish, masks_of
from webapp.jobs.services import job_claim
from webapp.registry.services import model_install
from workers.counterfactuals import counterfactual
from workers.lease import Work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage")]
PLAN, RECIPE = series_plan._plan, tiny_recipe()
SHORT, LONG = 6, 18
STORED = SIDE * SIDE * 2  # bytes of one slice as it is kept


@pytest.fixture
def large(tmp_path: Path) -> Any:
    """A model whose own grid is that of the series."""
    field = {"spacing_mm": [0.5, 4.0], "fov_mm": [300.0, 500.0]}
    return model_install(
        path=tiny_model(tmp_path / "large", image=tiny_recipe(SIDE, SIDE)["image"], field=field)
    )


def made(clinician: Any, model: Any, slices: int) -> tuple[Result, int]:
    """A changed series of so many slices, and the most bytes that its making held at once.

    A strength of 0 leaves the pixels as they are: what is measured is the way of the slices, not the network.
    """
    case = long_case(clinician, slices=slices)
    options = {"strength": 0.0, "steps": 2, "undo": True}
    request = edit_request(
        clinician, case=case, model=model, slices=(0, slices - 1), slice_index=2,
        parameters=CHANGE | {"edit": options},
    )  # fmt: skip
    claim = job_claim(queue="compute", worker="test")
    assert claim is not None
    tracemalloc.start()
    try:
        counterfactual(Work(claim))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return request.results.get(), most


def test_a_long_series_takes_hardly_more_memory_than_a_short_one(clinician: Any, large: Any) -> None:
    made(clinician, large, 4)  # what is loaded once is loaded
    few = made(clinician, large, SHORT)[1]
    many = made(clinician, large, LONG)[1]
    each = (many - few) / (LONG - SHORT)
    print(f"{few / 2**20:.0f} MiB of {SHORT} slices, {many / 2**20:.0f} of {LONG}: {each / STORED:.2f} each")
    assert each < STORED


def test_a_form_that_is_filled_in_looks_through_the_masks_once(
    browser: Client, clinician: Any, case: Any, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is chosen besides slices, masks and the change itself finds the plan made."""
    part(partly_masked_case(clinician))
    looked = []
    monkeypatch.setattr(series_plan, "_plan", lambda *wish: looked.append(wish) or PLAN(*wish))
    sent = edit_form(case, model, scope="series")
    first = browser.post(reverse("jobs:counterfactual-check"), sent)
    for changed in ({"steps": "9"}, {"strength": "0.3"}, {"seed": "5"}, {"undo": ""}, {"slice_number": "3"}):
        page = browser.post(reverse("jobs:counterfactual-check"), sent | changed)
        series = page.context["prepared"].notes["series"]
        assert series == first.context["prepared"].notes["series"]
    assert len(looked) == 1
    for count, changed in enumerate(
        ({"to_severity": "2"}, {"where": "spleen"}, {"scope": "range", "last_slice": "3"}), start=2
    ):
        browser.post(reverse("jobs:counterfactual-check"), sent | changed)
        assert len(looked) == count
    case.name = "Another name"
    case.save()
    browser.post(reverse("jobs:counterfactual-check"), sent)
    assert len(looked) == 5


def test_counts_find_what_looking_finds(clinician: Any, case: Any) -> None:
    """Where the mask stays, counting labels gives the sizes that the regions themselves have."""
    masks = masks_of(partly_masked_case(clinician), part(case), None, RECIPE)
    twice = replace(masks, after=masks.before, names_after=masks.names)  # the other way: both are read
    healthy, ill = (Condition(modality="CT", severity=one, age=58.0, sex="M") for one in ("none", "severe"))
    older = Condition(modality="CT", severity="none", age=70.0, sex="M")
    for place, after in (("belongs", ill), ("belongs", older), ("everywhere", ill), ("spleen", ill)):
        of = {"case": case, "slices": (0, 2), "place": place, "before": healthy, "after": after}
        found, known = (PLAN(SeriesWish(masks=one, **of), RECIPE) for one in (masks, twice))
        assert found.sizes == known.sizes
        assert found == known
        assert found.sizes[0] == 0 < found.sizes[1]
