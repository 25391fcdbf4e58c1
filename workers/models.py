"""Which networks are warm on this process's device."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from functools import lru_cache
from pathlib import Path

import torch
from django.conf import settings

from synthesis.checkpoints import LoadedModel, load_model
from synthesis.errors import SynthesisError
from synthesis.footprint import HELD_BACK, WHOLE, Footprint, footprint
from synthesis.metrics.judges import JUDGES_FILE, Judges, MaskJudge, load_judges
from synthesis.phantoms.labels import LABEL_SET
from synthesis.placement import Placement, device_memory, place, placement_for
from webapp.registry.models import GenerativeModel
from webapp.registry.selectors import model_folder

logger = logging.getLogger(__name__)
KEPT = 3


def device_choose() -> str:
    """The device that the settings name; else the first GPU; else the CPU with the settings' threads.

    Raises ValueError when a GPU is named that this machine does not have.
    """
    torch.set_num_threads(max(1, settings.WORKER_THREADS))
    name = settings.WORKER_DEVICE or ("cuda:0" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"WORKER_DEVICE: expected one of {torch.cuda.device_count()} GPUs or cpu; got {name!r}"
        )
    return str(device)


class WarmModels:
    """Loaded networks by their weights and how they lie, the least recently used given up first.

    Each lies on the device as its needs and the device's memory allow (synthesis/placement.py); others
    are given up before one is loaded that they would leave no room for.
    """

    def __init__(self, *, kept: int = KEPT) -> None:
        self._kept = kept
        self._held: dict[str, int] = {}
        self._loaded: OrderedDict[str, tuple[str, LoadedModel]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, model: GenerativeModel, *, device: str, need: Footprint | None = None) -> LoadedModel:
        """The model ready to run on `device`, from memory where it is warm.

        need: what the work at hand takes, by default that of drawing one image; a model that lies on the
        device whole for one work may have to come in stages for another. Raises SynthesisError when the
        weights on disk are not those that were installed, and where the device has no room for the work.
        """
        need = footprint(model.recipe) if need is None else need
        placement = placement_for(model.recipe, device, need=need)
        key = f"{model.weights_sha256} {device} {placement.plan} {placement.dtype}"
        with self._lock:
            if key in self._loaded:
                self._loaded.move_to_end(key)
                return self._loaded[key][1]
        self._make_room(need, placement)
        loaded = load_model(model_folder(model), dtype=placement.dtype, mapped=placement.plan != WHOLE)
        place(loaded.network, placement)
        if loaded.weights_sha256 != model.weights_sha256:
            raise SynthesisError(
                f"The weights of {model} in the storage are not those that were installed. Nothing was "
                "made. Ask a data manager to install the model again."
            )
        with self._lock:
            self._loaded[key] = (f"{model.name} {model.version}", loaded)
            self._held[key] = placement.held
            while len(self._loaded) > self._kept:
                self._give_up()
        logger.info("model %s is warm on %s, %s in %s", model, device, placement.plan, placement.dtype)
        return loaded

    def _make_room(self, need: Footprint | None, placement: Placement) -> None:
        """Give up the least recently used while what stays on the device leaves too little for this one."""
        if need is None:
            return
        wanted = need.need(placement.plan, placement.dtype.itemsize)
        room = device_memory(placement.device) * (1 - HELD_BACK)
        with self._lock:
            while self._loaded and sum(self._held.values()) + wanted > room:
                self._give_up()
        if placement.device.type == "cuda":
            torch.cuda.empty_cache()

    def _give_up(self) -> None:
        key, _ = self._loaded.popitem(last=False)
        self._held.pop(key, None)

    def names(self) -> list[str]:
        """The models in memory, for the heartbeat."""
        with self._lock:
            return [name for name, _ in self._loaded.values()]


@lru_cache(maxsize=1)
def _judges(folder: Path) -> Judges:
    return load_judges(folder)


def judge_for(model: LoadedModel) -> MaskJudge | None:
    """The shipped segmenter for the quality checks; None where `judges_for` has none."""
    judges = judges_for(model)
    return None if judges is None else MaskJudge(judges)


def judges_for(model: LoadedModel | GenerativeModel) -> Judges | None:
    """The shipped judges; None for models with other labels, or where they are not installed.

    Judges that are there but damaged are left out with a word in the log: they must not cost a result.
    """
    folder = settings.WEIGHTS_DIR / "judges"
    if not (folder / JUDGES_FILE).is_file():
        return None
    names = {int(label["value"]): str(label["name"]) for label in model.recipe.get("label_set", [])}
    if names != {label.value: label.name for label in LABEL_SET}:
        return None
    try:
        return _judges(folder)
    except SynthesisError as error:
        logger.warning("quality checks go without the judges: %s", error)
        return None


warm = WarmModels()
