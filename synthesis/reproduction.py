"""What an image's exact pixels depend on besides the request, and how to say what has changed."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

import synthesis

WORDS = {
    "device": "device",
    "device_name": "processor",
    "instructions": "processor instructions",
    "threads": "number of threads",
    "dtype": "number format",
    "batch": "batch size",
    "semblance": "Semblance version",
    "torch": "torch version",
    "numpy": "numpy version",
    "python": "Python version",
    "weights_sha256": "model weights",
    "adapter": "adapter",
}


def numerics(device: torch.device, dtype: torch.dtype, batch: int) -> dict[str, Any]:
    """Device, threads, number format and batch under which pixels are computed."""
    cuda = device.type == "cuda"
    return {
        "device": device.type,
        "device_name": torch.cuda.get_device_name(device) if cuda else platform.machine(),
        "instructions": "" if cuda else torch.backends.cpu.get_cpu_capability(),
        "threads": 0 if cuda else torch.get_num_threads(),
        "dtype": str(dtype).removeprefix("torch."),
        "batch": batch,
    }


@contextmanager
def repeatable() -> Iterator[None]:
    """Ask the GPU libraries for the same bits each time; nothing changes on a CPU."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield


def identity(recipe: Mapping[str, Any], weights_sha256: str) -> dict[str, str]:
    """The model that decides pixels, by its recipe and its weights."""
    return {
        "name": recipe.get("name", ""),
        "version": str(recipe.get("version", "")),
        "method": recipe.get("method", ""),
        "weights_sha256": weights_sha256,
    }


def versions() -> dict[str, str]:
    """Versions of the code that decides pixels."""
    return {
        "semblance": synthesis.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In plain words, what differs between the surroundings of two recipes.

    Empty where both were made under the same ones: then the pixels must be the same too.
    """
    then, today = _surroundings(before), _surroundings(now)
    return [
        f"{WORDS[key]}: {then.get(key, 'unknown')} then, {today.get(key, 'unknown')} now"
        for key in WORDS
        if then.get(key) != today.get(key)
    ]


def _surroundings(recipe: Mapping[str, Any]) -> dict[str, Any]:
    weights = {"weights_sha256": recipe.get("model", {}).get("weights_sha256")}
    laid_on = {"adapter": _adapter_words(recipe.get("adapter") or {})}
    return {**recipe.get("numerics", {}), **recipe.get("versions", {}), **weights, **laid_on}


def _adapter_words(adapter: Mapping[str, Any]) -> str:
    """Name, version, weights and strength of what lay on the model."""
    if not adapter:
        return "none"
    digests = [str(adapter.get(key, ""))[:12] for key in ("weights_sha256", "conditioning_sha256")]
    told = ", ".join(digest for digest in digests if digest)
    strength = f"rank {adapter.get('rank')}, alpha {adapter.get('alpha')}"
    return f"{adapter.get('name')} {adapter.get('version')} ({told}; {strength})"
