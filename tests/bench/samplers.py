"""Milliseconds per slice of every sampler against Euler with 30 calls, on the shipped model."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.table import ROOT, Measure, median

SHIPPED = ROOT / "weights" / "abdomen-2d"
FAST = ROOT / "weights" / "abdomen-2d-fast"  # the model that learned long steps
STEPS = {"euler": (30, 8, 4), "heun": (15, 2), "rft": (30, 8, 4), "shortcut": (2, 1)}
REPEATS = 3
REFERENCE = "euler, 30 steps"


def measure_samplers() -> list[Measure]:
    """Interleaved, so that a busy moment of the machine hits every sampler alike."""
    import torch

    from synthesis.catalog import SAMPLERS
    from synthesis.checkpoints import load_model

    torch.set_num_threads(1)
    model, note = _model(load_model)
    models = {name: model for name in SAMPLERS if name != "shortcut"}
    if (FAST / "model.safetensors").is_file():
        models["shortcut"] = load_model(FAST)
    runs = {
        f"{name}, {steps} step{'s' if steps > 1 else ''}": _run(one, name, steps)
        for name, one in models.items()
        for steps in STEPS.get(name, (SAMPLERS[name].steps or 4,))
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(REPEATS + 1):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            if repeat:  # the first round warms up
                seconds[name].append(time.perf_counter() - began)
    reference = median(seconds[REFERENCE])
    return [
        Measure(f"one slice by {name}", median(taken) * 1e3, "ms", median(taken) / reference, REFERENCE, note)
        for name, taken in seconds.items()
    ]


def _model(load_model: Callable[[Path], Any]) -> tuple[Any, str]:
    if (SHIPPED / "model.safetensors").is_file():
        return load_model(SHIPPED), ""
    from tests.factories_models import tiny_model

    with tempfile.TemporaryDirectory() as folder:
        return load_model(tiny_model(Path(folder))), "a tiny random model: the shipped one is absent"


def _run(model: Any, name: str, steps: int) -> Callable[[], Any]:
    from synthesis.generate import generate
    from synthesis.phantoms import abdomen
    from synthesis.request import Condition, SamplerOptions, SynthesisRequest

    image = model.recipe["image"]
    phantom = abdomen(7, shape=(image["rows"], image["columns"]))
    row, column = (float(value) for value in phantom.spacing_mm)
    request = SynthesisRequest(
        labels=phantom.labels,
        spacing_mm=(row, column),
        condition=Condition(modality="CT", severity="severe"),
        sampler=SamplerOptions(name=name, steps=steps),
        seed=1,
    )
    return lambda: generate(model, request)
