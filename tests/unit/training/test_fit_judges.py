"""Each judge can be trained on the shards that the model is trained on."""

import pytest
import torch

from synthesis.metrics.judges import KINDS
from training.fit_judges import fit


@pytest.mark.parametrize("name", sorted(KINDS))
def test_each_can_be_fitted(name, small_recipe, phantom_folder, monkeypatch):
    from training import fit_judges
    from training.data import PhantomShards

    monkeypatch.setattr(fit_judges, "HELD_BACK", 4)
    monkeypatch.setitem(fit_judges.BATCH, name, 4)
    network, score = fit(name, small_recipe, PhantomShards(phantom_folder), 2)
    assert 0 <= score <= 1
    assert all(torch.isfinite(p).all() for p in network.parameters())
