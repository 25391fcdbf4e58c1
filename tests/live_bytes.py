"""How many bytes of tensors are alive at once while something runs: what a memory estimate is held against.

Counts every storage that an operation of torch makes until it is freed, on any device, the meta device
included. What kernels allocate and free within one call (the room of a convolution) is not seen.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten


class LiveBytes(TorchDispatchMode):
    """`peak` bytes alive at once within the block, beyond the storages that are given (the weights)."""

    def __init__(self, given: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._sizes: dict[int, int] = {}
        self._given = [tensor.untyped_storage() for tensor in given]
        self._sizes |= {storage._cdata: 0 for storage in self._given}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and count what it made."""
        made = func(*args, **(kwargs or {}))
        for one in tree_flatten(made)[0]:
            if isinstance(one, Tensor):
                self._count(one.untyped_storage())
        self.peak = max(self.peak, self.now)
        return made

    def _count(self, storage: Any) -> None:
        key = storage._cdata
        if key not in self._sizes:
            self._sizes[key] = storage.nbytes()
            self.now += storage.nbytes()
            weakref.finalize(storage, self._free, key)

    def _free(self, key: int) -> None:
        self.now -= self._sizes.pop(key, 0)


def fused_attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Tensor:
    """What fused attention leaves behind: its result alone. For the meta device, which does not fuse."""
    return torch.empty((*query.shape[:-1], value.shape[-1]), dtype=query.dtype, device=query.device)
