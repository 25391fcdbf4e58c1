"""The loop: it learns, it can be killed, and the averaged weights become a model."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from synthesis.checkpoints import load_model
from training.ema import PowerEma
from training.export import export, rewrite
from training.flow_path import draw_times
from training.recipe import FlowSettings, OptimiserSettings
from training.train import CHECKPOINT, LOG, rate_at, train

ROOT = Path(__file__).parents[3]

CHILD = """
import sys, torch
from dataclasses import replace
from pathlib import Path
from tests.factories_models import TINY
from training.recipe import load_recipe, OptimiserSettings, FlowSettings
from training.train import train
torch.set_num_threads(1)
shipped = load_recipe("abdomen-2d")
recipe = replace(shipped, steps=20, batch=4, phantoms=16, precision="no", refresh_every=5, checkpoint_every=5,
    ema_exponent=2.0, image=dict(shipped.image) | {"rows": 64, "columns": 64}, backbone=TINY,
    objective=FlowSettings(), optimiser=OptimiserSettings(rate=3e-3, warmup=2))
train(recipe, Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def state_of(run: Path):
    return torch.load(run / CHECKPOINT, weights_only=True)


def assert_same(a, b):
    assert a["step"] == b["step"]
    for part in ("network", "ema"):
        assert all(torch.equal(a[part][name], b[part][name]) for name in a[part]), part


def test_the_loss_falls_and_every_step_is_logged(small_recipe, phantom_folder, tmp_path):
    recipe = replace(small_recipe, steps=100)
    train(recipe, phantom_folder, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [line["step"] for line in lines] == [25, 50, 75, 100]
    assert lines[-1]["loss"] < 0.6 * lines[0]["loss"]
    assert lines[-1]["phantoms"] == 16


def test_a_stopped_run_goes_on_as_if_nothing_had_happened(small_recipe, phantom_folder, tmp_path):
    train(small_recipe, phantom_folder, tmp_path / "whole")
    train(small_recipe, phantom_folder, tmp_path / "parts", stop_after=7)
    assert state_of(tmp_path / "parts")["step"] == 7
    train(small_recipe, phantom_folder, tmp_path / "parts")
    assert_same(state_of(tmp_path / "whole"), state_of(tmp_path / "parts"))


@pytest.mark.slow
def test_a_run_killed_outright_ends_with_the_same_weights(small_recipe, phantom_folder, tmp_path):
    train(small_recipe, phantom_folder, tmp_path / "whole")
    run = tmp_path / "killed"
    command = [sys.executable, "-c", CHILD, str(phantom_folder), str(run)]
    environment = dict(os.environ) | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not (run / CHECKPOINT).is_file() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert (run / CHECKPOINT).is_file()
    assert state_of(run)["step"] <= 20
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=600)
    assert_same(state_of(tmp_path / "whole"), state_of(run))


def test_the_exported_model_carries_the_average_and_its_recipe(small_recipe, phantom_folder, tmp_path):
    train(small_recipe, phantom_folder, tmp_path / "run")
    digest = export(small_recipe, tmp_path / "run", phantom_folder, tmp_path / "model")
    model = load_model(tmp_path / "model")
    assert model.weights_sha256 == digest
    average = state_of(tmp_path / "run")["ema"]
    for name, tensor in model.network.state_dict().items():
        assert torch.allclose(tensor, average[name], rtol=1e-3, atol=1e-4)
    assert model.recipe["training"]["steps"] == 20
    assert model.recipe["training"]["images_seen"] == 80
    low, high = model.recipe["field"]["spacing_mm"]
    assert 3 < low < high < 9  # 64 pixels across a body of 300 to 500 mm
    rewrite(tmp_path / "model", calibration={"kappa": {"4": 0.25}})
    again = load_model(tmp_path / "model")
    assert again.kappa(4) == 0.25
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.network.state_dict().values(), again.network.state_dict().values(), strict=True)
    )


def test_the_rate_rises_stays_and_falls_to_nothing():
    settings = OptimiserSettings(rate=1.0, warmup=10, decay=0.5)
    rates = [rate_at(step, 100, settings) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10:50] == [1.0] * 40
    assert rates[75] == pytest.approx(0.5)
    assert rates[99] == pytest.approx(0.02)


def test_the_average_is_the_power_law_it_claims():
    """With exponent g the weight of step s in the average after n steps goes as s^g (EDM2 eq. 3)."""
    layer = torch.nn.Linear(1, 1, bias=False)
    ema = PowerEma(layer, exponent=2.0)
    values = torch.rand(400, generator=torch.Generator().manual_seed(0))
    for step, value in enumerate(values, start=1):
        with torch.no_grad():
            layer.weight.fill_(value)
        ema.update(layer, step)
    weights = torch.arange(1, 401, dtype=torch.float64) ** 2
    expected = float((weights * values).sum() / weights.sum())
    assert float(ema.weights["weight"]) == pytest.approx(expected, abs=5e-3)


def test_an_average_of_another_network_is_refused():
    ema = PowerEma(torch.nn.Linear(2, 2), exponent=2.0)
    with pytest.raises(ValueError, match="another network"):
        ema.load_state_dict({"weight": torch.zeros(2, 2)})


def test_times_visit_the_start_as_often_as_asked():
    settings = FlowSettings(time_mean=0.0, time_uniform=0.2, time_start=0.15)
    times = draw_times(20000, settings, torch.Generator().manual_seed(0))
    assert float((times == 0).float().mean()) == pytest.approx(0.15, abs=0.01)
    assert float(((times > 0) & (times < 0.02)).float().mean()) == pytest.approx(0.2 * 0.02, abs=0.002)
    assert float(times[times > 0].median()) == pytest.approx(0.5, abs=0.02)
    assert float(times.max()) < 1
