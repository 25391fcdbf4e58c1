"""The evidence on Latent Drifting, run at a tiny size on pictures made here, stopped, and gone on with."""

import json

import numpy as np
import pytest
from PIL import Image

from training.evidence import drift, drift_classifier, drift_measures, drift_runs, drift_source
from training.evidence.drift_sets import CARDIAC, CHEST, FASHION, TARGETS

SMALL = {"block_out_channels": (16, 16, 16)}
TINY = {
    "seeds": [1],
    "deltas": (0.0, 0.1),
    "drawn": 4,
    "sampler_steps": 1,
    "updates": 2,
    "classifiers": [1],
}
MINUTES = 0.01


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "data"
    (folder / FASHION).parent.mkdir(parents=True)
    np.savez(folder / FASHION, images=rng.integers(0, 255, (12, 28, 28), np.uint8), labels=np.arange(12) % 10)
    groups = ("normal", "hypertrophy")
    tables = {
        CARDIAC: ("file,patient,group", [f"{i}.png,p{i // 2},{groups[i // 2 % 2]}" for i in range(20)]),
        CHEST: (
            "file,patient,age,sex,label",
            [f"{i}.png,q{i},{20 + i},{'FM'[i % 2]},{('no_finding', 'pneumonia')[i % 2]}" for i in range(24)],
        ),
    }
    for name, (head, lines) in tables.items():
        place = folder / TARGETS[name]
        place.mkdir(parents=True)
        (place / "labels.csv").write_text("\n".join([head, *lines]), encoding="utf-8")
        for line in lines:
            Image.fromarray(rng.integers(0, 255, (64, 64), np.uint8)).save(place / line.split(",")[0])
    shard = tmp_path / "phantoms" / "shard-00000"
    shard.mkdir(parents=True)
    np.save(shard / "images.npy", rng.normal(0, 100, (2, 128, 128)).astype(np.float16))
    np.save(shard / "attributes.npy", np.zeros((2, 9)))
    return folder


@pytest.mark.usefixtures("other_precision")
def test_a_run_that_was_stopped_goes_on_without_training_anything_twice(data, tmp_path, monkeypatch):
    monkeypatch.setattr(drift_source, "NETWORK", drift_source.NETWORK | SMALL)
    monkeypatch.setattr(drift_runs, "PHANTOM_SHARDS", 1)
    monkeypatch.setattr(drift_measures, "DRAWS", 20)
    monkeypatch.setattr(drift_classifier, "DRAWS", 20)
    monkeypatch.setattr(drift, "by_inversion", lambda *_: [0.1, 0.0, 0.0, 0.0])  # of a trained network
    monkeypatch.setattr(drift, "prompt_formats", lambda delta: [])
    monkeypatch.setattr(drift, "schemes", lambda target, delta, estimates: [])
    monkeypatch.setattr(drift, "methods", lambda target, delta: [])
    finish, trained = drift_runs.finish, []

    def counted(run, *rest):
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append(run.name)
        return finish(run, *rest)

    monkeypatch.setattr(drift, "finish", counted)
    told = TINY | {
        "folder": tmp_path / "runs",
        "data": data,
        "source": tmp_path / "phantoms",
        "doc": tmp_path / "drift.md",
    }
    with pytest.raises(KeyboardInterrupt):
        drift.evidence(MINUTES, **told)
    kept = json.loads((tmp_path / "drift.json").read_text())
    assert sorted(kept["runs"]) == sorted(trained)
    assert "Not run:" in (tmp_path / "drift.md").read_text()
    first, trained[:] = list(trained), []
    monkeypatch.setattr(drift, "finish", lambda run, *rest: trained.append(run.name) or finish(run, *rest))
    results = drift.evidence(MINUTES, **told)
    assert not set(first) & set(trained)
    assert results["missing"] == []
    assert set(results["rows"]) >= {"chest-real", "chest-basic-plain-1", "chest-basic-noise+0.10-1"}
    assert set(results["delta"]["cardiac"]["init_only_estimates"]) == {"terminal_snr", "inversion"}
    assert set(results["classifier"]) >= {"real", "with drift, half and half"}
    with pytest.raises(ValueError, match="name another folder"):
        drift.evidence(2 * MINUTES, **told)
