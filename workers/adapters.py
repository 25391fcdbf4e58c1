"""Adapters on warm models: laid on once, chosen per request, the least recently used taken off again."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from torch import nn

from synthesis.checkpoints import LoadedModel, file_sha256
from synthesis.edit_request import CounterfactualResult
from synthesis.edit_series import SeriesResult
from synthesis.errors import SynthesisError
from synthesis.imaging.intensity import normalisations
from synthesis.placement import place_again
from synthesis.request import SynthesisResult
from webapp.registry.adapter_files import CONDITIONING_FILE, WEIGHTS_FILE
from webapp.registry.models import Adapter
from webapp.registry.selectors import adapter_folder

logger = logging.getLogger(__name__)
Recorded = TypeVar("Recorded", SynthesisResult, CounterfactualResult, SeriesResult)
KEPT = 8  # adapters per model


@dataclass
class _Laid:
    """What lies on one network, the least recently used first; the lock is held while it draws."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    names: OrderedDict[str, None] = field(default_factory=OrderedDict)


class LaidAdapters:
    """The adapters on every network in memory; they go when their network goes."""

    def __init__(self, *, kept: int = KEPT) -> None:
        self._kept = kept
        self._laid: WeakKeyDictionary[nn.Module, _Laid] = WeakKeyDictionary()
        self._lock = threading.Lock()

    @contextmanager
    def using(self, model: LoadedModel, adapter: Adapter | None) -> Iterator[LoadedModel]:
        """The model with this adapter in use, or none, for the length of a block; nobody else draws with
        this network meanwhile.

        What is handed out shares the network and has the adapter's recipe laid over the model's. The
        network itself is never loaded again. Raises SynthesisError where the adapter's files are not those
        that were installed, or do not fit; the model is then as it was.
        """
        with self._lock:
            laid = self._laid.setdefault(model.network, _Laid())
        with laid.lock:
            if adapter is None and not laid.names:
                yield model
                return
            from synthesis.adapters import (
                chosen,
            )  # brings peft, which jobs without an adapter need not wait for

            if adapter is None:
                with chosen(model, None):
                    yield model
                return
            name = self._lay(model, laid, adapter)
            recipe = {**adapter.base.recipe_with(adapter)}
            with chosen(model, name):
                yield replace(model, recipe=recipe, normalisation=normalisations(recipe))

    def names(self, model: LoadedModel) -> list[str]:
        """What lies on a model, the least recently used first."""
        with self._lock:
            laid = self._laid.get(model.network)
        return list(laid.names) if laid is not None else []

    def _lay(self, model: LoadedModel, laid: _Laid, adapter: Adapter) -> str:
        from synthesis.adapters import load_adapter, remove

        name = f"sha{adapter.weights_sha256[:24]}"
        if name not in laid.names:
            _check(adapter)
            load_adapter(model, adapter_folder(adapter), name)
            place_again(model.network)
            logger.info("adapter %s lies on %s", adapter, adapter.base)
        laid.names[name] = None
        laid.names.move_to_end(name)
        while len(laid.names) > self._kept:
            oldest, _ = laid.names.popitem(last=False)
            remove(model, oldest)
        return name


def adapter_record(adapter: Adapter) -> dict[str, Any]:
    """What a recipe says of the adapter that lay on the model: all that its pixels depend on."""
    record: dict[str, Any] = {
        "name": adapter.name,
        "version": adapter.version,
        "weights_sha256": adapter.weights_sha256,
        "rank": adapter.rank,
        "alpha": adapter.alpha,
    }
    if adapter.conditioning_sha256:
        record["conditioning_sha256"] = adapter.conditioning_sha256
    return record


def recorded(result: Recorded, adapter: Adapter | None) -> Recorded:
    """The result whose recipe names the adapter, where one was used."""
    if adapter is None:
        return result
    return replace(result, recipe={**result.recipe, "adapter": adapter_record(adapter)})


def _check(adapter: Adapter) -> None:
    """Refuse files that are not those that were installed."""
    folder = adapter_folder(adapter)
    wanted = {WEIGHTS_FILE: adapter.weights_sha256, CONDITIONING_FILE: adapter.conditioning_sha256}
    for name, digest in wanted.items():
        if digest and (not (folder / name).is_file() or file_sha256(folder / name) != digest):
            raise SynthesisError(
                f"The weights of the adapter {adapter} in the storage are not those that were installed. "
                "Nothing was made. Ask a data manager to install the adapter again."
            )


laid_adapters = LaidAdapters()
