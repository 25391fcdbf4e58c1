"""The evidence on ViCTr: a fair plan, plain diffusion run as a flow, and tables that say what was stored."""

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from synthesis.backbones.unet import UNet
from synthesis.networks import first_state
from synthesis.samplers.ddim import ddim
from synthesis.variance_preserving import NoiseSchedule
from tests.factories_models import TINY
from training.evidence import victr, victr_runs
from training.evidence.victr_measures import LEVELS, Sizes, sweep_figures
from training.evidence.victr_plan import MINUTES, Recipes, placed, plan
from training.evidence.victr_runs import NoisePredictor, PlainDiffusion
from training.evidence.victr_tables import BEGIN, END, document
from training.evidence.victr_verdicts import interval, ratios
from training.recipe import ConsistencySettings


@pytest.fixture(scope="module")
def recipes():
    return Recipes.shipped()


# The plan.


def test_every_rival_sees_as_many_images_as_both_stages(recipes):
    for minutes in (MINUTES, 7.0):
        runs = {run.name: run.recipe for run in plan(recipes.scaled(minutes))}
        seen = {name: recipe.steps * recipe.batch for name, recipe in runs.items()}
        for seed in (1, 2, 3):
            assert seen[f"vanilla-{seed}"] == seen[f"anatomy-{seed}"] + seen[f"ours-{seed}"]
        assert seen["flow-no-stage-1"] == seen["vanilla-1"]
        stage_2 = {n for n, r in runs.items() if r.adapter} | {
            "whole-network",
            "ewc",
            "flow-no-stage-1-short",
        }
        assert {seen[name] for name in stage_2} == {seen["ours-1"]}


def test_minutes_scale_the_trainings(recipes):
    short, full = recipes.scaled(MINUTES / 4), recipes.scaled(MINUTES)
    assert short.anatomy.steps == full.anatomy.steps / 4
    assert full.pathology.steps == recipes.pathology.steps


def test_rivals_share_the_network_the_rate_and_the_order_of_the_data(recipes):
    runs = {run.name: run.recipe for run in plan(recipes)}
    for name, recipe in runs.items():
        assert recipe.backbone == runs["ours-1"].backbone, name
        assert recipe.optimiser.rate == runs["ours-1"].optimiser.rate, name
        assert recipe.batch == runs["ours-1"].batch, name
        kind, _, seed = name.partition("-")
        assert recipe.seed == (int(seed) if kind in ("ours", "vanilla", "anatomy") and seed.isdigit() else 1)


def test_a_run_comes_after_the_one_that_it_needs(recipes):
    done: list[str] = []
    for run in plan(recipes):
        assert not run.after or run.after in done
        assert bool(placed(run, Path("x")).init_from) == bool(run.after)
        done.append(run.name)


def test_each_loss_row_leaves_out_what_its_name_says(recipes):
    runs = {run.name: run.recipe.objective for run in plan(recipes)}

    def weights(name):
        settings = runs[name]
        assert isinstance(settings, ConsistencySettings)
        return tuple(
            bool(getattr(settings, f"weight_{part}")) for part in ("spatial", "consistency", "temporal")
        )

    assert weights("ours-1") == (True, True, True)
    assert weights("flow") == (False, False, False)
    assert weights("flow-spatial") == (True, False, False)
    assert weights("flow-consistency") == (False, True, False)
    assert weights("flow-temporal") == (False, False, True)
    assert weights("flow-spatial-consistency") == (True, True, False)


# Plain diffusion as a flow.


class GaussianNoise(UNet):
    """E[n | y] for data N(m, c^2) on a schedule: the exact noise predictor."""

    def __init__(self, schedule, m, c):
        super().__init__(TINY)
        self.schedule, self.m, self.c = schedule, m, c

    def forward(self, y, t, *condition):
        k = int((t * len(self.schedule.alpha_bars)).round())
        a = float(self.schedule.alpha_bars[k])
        return (y - a**0.5 * self.m) * (1 - a) ** 0.5 / (a * self.c**2 + 1 - a)


def test_plain_diffusion_on_its_grid_gives_the_gaussian_back():
    m, c = 0.7, 0.5
    schedule = NoiseSchedule.of()
    network = NoisePredictor(GaussianNoise(schedule, m, c), schedule)
    model = PlainDiffusion(network, {"image": {"rows": 8, "columns": 8}}, "", {})
    times = model.times(500)
    assert times[0] == pytest.approx(network.start)
    assert len(times) == 501
    noise = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    x = ddim(network, first_state(network, noise), times)
    # The schedule ends before pure noise, so its start y ~ N(0, 1) is off by what is left of the data:
    a = float(schedule.alpha_bars[-1])
    spread = c / (a * c**2 + 1 - a) ** 0.5
    torch.testing.assert_close(x, m + spread * (noise - a**0.5 * m), atol=0.02, rtol=0)


# Severity.


def test_a_severity_that_rises_with_what_is_asked_is_read_so():
    rising = np.array(LEVELS)[None] + np.array([[0.0], [0.3]])
    assert sweep_figures(rising)["rho_per_mask"] == pytest.approx(1)
    assert sweep_figures(rising)["rising"] == 1
    assert sweep_figures(-rising)["rho_per_mask"] == pytest.approx(-1)
    assert sweep_figures(-rising)["rising"] == 0
    assert sweep_figures(np.zeros((2, len(LEVELS))) + 1)["rho_per_mask"] == 0


# Tables.


def kid(value):
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def a_row(value, **more):
    return {
        "kid": kid(value), "mfid": 2 * value, "mfid_infinity": value,
        "radiomics": {"T1": 10 * value, "T2": 12 * value},
        "precision": 0.5, "recall": 0.4, "coverage": 0.3, "dice_share": 0.9, "severity_accuracy": 0.6,
        "severity_error": 0.5, "spectrum": {"T1": [1, 1, 1], "T2": [1, 1, 1]}, "seconds_per_image": 0.1,
        "n": 8, **more,
    }  # fmt: skip


@pytest.fixture
def results():
    rows = {
        "real": a_row(0.01, k_ref=0.5, source={"net": "net", "weights_sha256": "a" * 64, "dimensions": 640})
    }
    for seed, (ours, vanilla) in enumerate(((0.5, 1.1), (0.6, 1.2), (0.55, 1.0)), start=1):
        rows[f"ours-{seed}/rft-4-whole"] = a_row(ours)
        for calls in (30, 50, 4):
            rows[f"vanilla-{seed}/ddim-{calls}-whole"] = a_row(vanilla)
    rows["ours-1/rft-4-whole-k0"] = a_row(0.8, kid_over_ours={"value": 0.3, "low": 0.2, "high": 0.4})
    rows["flow/rft-4-whole"] = a_row(0.3, kid_over_ours={"value": -0.2, "low": -0.3, "high": -0.1})
    rows["flow-no-stage-1/rft-4-whole"] = a_row(0.5, kid_over_ours={"value": 0.0, "low": -0.1, "high": 0.1})
    rows["rank-4/rft-4-whole"] = a_row(0.4)
    sweep = {"rho": 0.5, "rho_per_mask": 0.6, "rising": 0.7, "read": [0.1 * i for i in range(7)], "n": 8}
    run = {"images": 8, "phantoms": 8, "seconds": 60, "weights": 1000}
    return {
        "about": {
            "minutes": 1,
            "seeds": [1, 2, 3],
            "sizes": {"cases": 8, "masks": 2},
            "levels": list(LEVELS),
        },
        "rows": rows,
        "runs": {"ours-1": {**run, "rank": 64, "share": 1.5}, "rank-4": {**run, "rank": 4, "share": 0.1}},
        "severity": {"real": {**sweep, "rho": 0.95, "read": [0, 1, 2, 3]}, "ours-1": sweep, "ours-2": sweep},
        "ladder": {
            "rft-4": {"kid": kid(0.5), "spectrum": {"T1": [1, 1, 1.25]}, "severity_accuracy": 0.5, "n": 8}
        },
        "forgetting": {"ewc": {"kid": kid(0.5), "dice_share": 0.777, "n": 8}},
        "kappa": {},
    }


def test_intervals_are_students():
    values = [1.0, 2.0, 4.0]
    mean, low, high = interval(values)
    found = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((found.low, found.high))
    assert mean == pytest.approx(7 / 3)


def test_ratios_are_geometric_over_seeds(results):
    mean, low, high = ratios(results, "ddim-30-whole", "kid")
    assert mean == pytest.approx((1.1 * 1.2 * 1.0 / (0.5 * 0.6 * 0.55)) ** (1 / 3))
    assert low < mean < high


def test_verdicts_follow_the_intervals(results):
    text = document(results, "")

    def verdict(claim):
        (line,) = [one for one in text.splitlines() if one.startswith("- ") and claim in one]
        return line.split("**")[1]

    assert verdict("4 calls of ours are at least as good as 30") == "Held"
    assert verdict("the Tweedie correction helps") == "Held"
    assert verdict("the three consistency terms together help") == "Did not hold"
    assert verdict("beat the target alone, all weights, equal samples") == "Not shown"
    assert verdict("rank 64 is the best of the ranks") == "Did not hold"
    worse = deepcopy(results)
    for seed in (1, 2, 3):
        worse["rows"][f"vanilla-{seed}/ddim-30-whole"] = a_row(0.1 + 0.01 * seed)
    text = document(worse, "")
    assert verdict("4 calls of ours are at least as good as 30") == "Did not hold"
    assert text.index("4 calls of ours") < text.index("| ---")  # said before any table


@pytest.mark.parametrize(
    ("place", "value", "shown"),
    [
        (("rows", "ours-2/rft-4-whole", "recall"), 0.1234, "0.308"),  # mean of 0.4, 0.1234 and 0.4
        (("rows", "flow/rft-4-whole", "dice_share"), 0.8765, "0.876"),
        (("severity", "ours-2", "rising"), 0.31, "31 %"),
        (("ladder", "rft-4", "severity_accuracy"), 0.43, "0.43"),
        (("forgetting", "ewc", "dice_share"), 0.4321, "0.432"),
        (("runs", "rank-4", "share"), 0.5678, "57 %"),
    ],
)
def test_tables_show_what_is_stored(results, place, value, shown):
    before = document(results, "")
    part = results
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    after = document(results, "")
    assert shown in after
    assert after.count(shown) > before.count(shown)


def test_what_people_wrote_around_the_tables_stays(results):
    before = f"# ViCTr\n\nMine.\n\n{BEGIN}\nWorn out.\n{END}\n\n## By hand\n"
    after = document(results, before)
    assert after.startswith(f"# ViCTr\n\nMine.\n\n{BEGIN}\n")
    assert after.endswith(f"{END}\n\n## By hand\n")
    assert "Worn out." not in after
    assert document(results, after) == after


def test_a_run_that_has_just_begun_can_be_written_down():
    empty = {part: {} for part in ("runs", "kappa", "rows", "ladder", "severity", "forgetting")}
    about = {"minutes": 1, "seeds": [1], "sizes": {}, "levels": list(LEVELS)}
    assert BEGIN in document({"about": about, **empty}, "")


def test_the_page_in_the_docs_is_what_its_figures_say():
    page = Path("docs/evidence/victr.md").read_text(encoding="utf-8")
    stored = json.loads(Path("docs/evidence/victr.json").read_text(encoding="utf-8"))
    assert document(stored, page) == page


# The whole way, tiny.


@pytest.mark.slow
def test_the_evidence_is_trained_measured_and_goes_on_where_it_was_stopped(
    recipes, phantom_folder, tmp_path, monkeypatch
):
    def tiny(recipe, **changes):
        image = dict(recipe.image) | {"rows": 64, "columns": 64}
        return replace(
            recipe, steps=2, batch=2, phantoms=8, backbone=TINY, image=image, precision="no", **changes
        )

    small = Recipes(tiny(recipes.anatomy), tiny(recipes.pathology), tiny(recipes.vanilla))
    options = {
        "folder": tmp_path / "run",
        "source": tmp_path / "phantoms",
        "doc": tmp_path / "victr.md",
        "recipes": small,
        "seeds": (1,),
        "sizes": Sizes(cases=8, ladder=8, validation=4, masks=2, ct=8),
        "ladder": (1,),
    }
    monkeypatch.setattr(victr_runs, "SHARD", 8)
    monkeypatch.setattr(victr, "SAMPLERS", ("euler",))
    monkeypatch.setattr(victr, "plan", lambda *given: plan(*given)[:3])
    done = victr.evidence(MINUTES, **options)
    assert set(done["runs"]) == {"anatomy-1", "ours-1", "vanilla-1"}
    assert {"real", "ours-1/rft-4-whole", "vanilla-1/ddim-30-whole"} <= set(done["rows"])
    assert json.loads((tmp_path / "victr.json").read_text()) == victr.rounded(done)
    page = (tmp_path / "victr.md").read_text()
    assert f"{done['rows']['ours-1/rft-4-whole']['dice_share']:.3f}" in page

    def never(*given, **more):
        raise AssertionError("what was done was done again")

    monkeypatch.setattr(victr, "finish", never)
    monkeypatch.setattr(victr, "row", never)
    assert victr.rounded(victr.evidence(MINUTES, **options)) == victr.rounded(done)
    with pytest.raises(ValueError, match="holds a run of"):
        victr.evidence(MINUTES / 2, **options)
