"""Where a network's weights lie while it runs: on its device, there stage by stage, or layer by layer.

staged: text encoders, denoiser with ControlNet and decoder come to the device one after another;
sequential: each layer comes for its own call. The weights themselves stay in this machine's memory (mapped
from their file where they have the type that is computed in); what is on the device is a copy, and dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor, nn

from synthesis.errors import SynthesisError
from synthesis.footprint import HELD_BACK, STAGED, WHOLE, Footprint, footprint, in_gigabytes

CGROUP = Path("/sys/fs/cgroup/memory.max")  # what a container may use of its machine
Copy = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where calls run (`device`), in which type, by which plan of synthesis/footprint.py.

    held: the bytes that stay on the device between calls.
    """

    device: torch.device
    dtype: torch.dtype
    plan: str = WHOLE
    held: int = 0


def device_memory(device: torch.device | str) -> int:
    """Bytes that the device has in all: a GPU's own memory, or what this machine lets its programs use."""
    device = torch.device(device)
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    total = int(psutil.virtual_memory().total)
    limit = CGROUP.read_text(encoding="ascii").strip() if CGROUP.is_file() else ""
    return min(total, int(limit)) if limit.isdigit() else total


def dtype_for(device: torch.device | str, itemsize: int) -> torch.dtype:
    """The floating type of so many bytes that the device computes networks from elsewhere in.

    Of 16 bits, bfloat16 where it is native, for it has the range of float32, which T5 needs.
    """
    device = torch.device(device)
    if itemsize == 4:
        return torch.float32
    if device.type == "cuda" and torch.cuda.get_device_capability(device)[0] < 8:
        return torch.float16
    return torch.bfloat16


def placement_for(
    recipe: Mapping[str, Any],
    device: torch.device | str,
    *,
    memory: int | None = None,
    need: Footprint | None = None,
) -> Placement:
    """How a model of that recipe runs on a device with so many bytes (by default the device's own).

    need: what the work at hand takes, by default that of drawing one image.
    Networks that were trained here, and models whose needs are not known, lie on it whole in float32.
    Raises SynthesisError, with both numbers, where the model does not fit even layer by layer.
    """
    device = torch.device(device)
    need = footprint(recipe) if need is None else need
    if need is None:
        return Placement(device=device, dtype=torch.float32)
    memory = device_memory(device) if memory is None else memory
    found = need.plan(str(device), memory)
    if found is None:
        raise SynthesisError(
            f"This model needs {in_gigabytes(need.least(str(device)))} on the worker's device even at its "
            f"most sparing, and {in_gigabytes(memory * (1 - HELD_BACK))} can be used there. Nothing was made."
        )
    plan, itemsize = found
    held = itemsize * sum(part.parameters for part in need.parts.values()) if plan == WHOLE else 0
    return Placement(device=device, dtype=dtype_for(device, itemsize), plan=plan, held=held)


def place(network: nn.Module, placement: Placement, *, copy: Copy | None = None) -> None:
    """Make the network run as the placement says; its weights have the placement's type already.

    May be called again after layers were added (an adapter's): what has its hook keeps it. `copy` brings
    a tensor to the device; by default that is all it does.
    """
    network._placement = placement  # type: ignore[assignment]
    if placement.plan == WHOLE:
        network.to(placement.device)
        return
    bring = copy or (lambda tensor: tensor.to(placement.device))
    if placement.plan == STAGED:
        present: list[Visit] = []
        for group in stages(network):
            visit = Visit(group, placement.device, bring, present)
            for module in group:
                visit.attend(module, stay=True)
        return
    for component in network.children():
        component._hf_hook = Marker(placement.device)  # type: ignore[assignment]
    for leaf in _leaves(network):
        Visit([leaf], placement.device, bring, None).attend(leaf, stay=False)


def place_again(network: nn.Module) -> None:
    """Let layers that were added since (an adapter's) run where the others do."""
    placement = getattr(network, "_placement", None)
    if isinstance(placement, Placement):
        place(network, placement)


def plan_of(network: nn.Module) -> str:
    """By which plan the network was placed; WHOLE where it never was."""
    placement = getattr(network, "_placement", None)
    return placement.plan if isinstance(placement, Placement) else WHOLE


def stages(network: nn.Module) -> list[list[nn.Module]]:
    """The children that are at work at one time: text encoders and autoencoder each by itself, the rest."""
    children = dict(network.named_children())
    alone = [name for name in children if name == "vae" or name.startswith("text_encoder")]
    drawing = [part for name, part in children.items() if name not in alone]
    return [*([children[name]] for name in alone), drawing]


class Marker:
    """Says where a component computes, in the way that accelerate's hooks do (`_hf_hook`)."""

    def __init__(self, device: torch.device) -> None:
        self.execution_device = device


class Visit(Marker):
    """Modules whose weights come to the device for their calls.

    `present` lists the one visit among several that may be there at a time; None where visits end with
    their call, and lie within each other as the calls do.
    """

    def __init__(
        self, modules: Sequence[nn.Module], device: torch.device, copy: Copy, present: list[Visit] | None
    ) -> None:
        super().__init__(device)
        self._modules = modules
        self._copy = copy
        self._present = present
        self._home: list[tuple[Tensor, Tensor]] = []

    def attend(self, module: nn.Module, *, stay: bool) -> None:
        """Be there when the module is called; with `stay` also afterwards, until another visit begins."""
        if getattr(module, "_visited", False):
            return
        module._visited = True  # type: ignore[assignment]
        module.register_forward_pre_hook(self._called, with_kwargs=True)
        if stay:
            module._hf_hook = self  # type: ignore[assignment]
        else:
            module.register_forward_hook(lambda *_: self.leave(), always_call=True)

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> None:
        """Called by diffusers before an autoencoder encodes or decodes, which are no forward calls."""
        self.enter()

    def enter(self) -> None:
        """Bring every weight and buffer to the device, after whatever was there has left."""
        if self._present is not None:
            for other in self._present:
                if other is not self:
                    other.leave()
            self._present[:] = [self]
        deep = self._present is not None
        here = {id(tensor) for tensor, _ in self._home}
        for tensor in (one for module in self._modules for one in _tensors(module, deep)):
            if id(tensor) not in here:
                self._home.append((tensor, tensor.data))
                tensor.data = self._copy(tensor.data)

    def leave(self) -> None:
        """Put back what was there before; the copies on the device are dropped."""
        for tensor, home in self._home:
            tensor.data = home
        self._home.clear()

    def _called(self, module: nn.Module, args: Any, kwargs: Any) -> Any:
        self.enter()
        return _on(self.execution_device, args), _on(self.execution_device, kwargs)


def _on(device: torch.device, values: Any) -> Any:
    """The tensors of a call's arguments, on the device."""
    if isinstance(values, Tensor):
        return values.to(device)
    if isinstance(values, dict):
        return {key: _on(device, value) for key, value in values.items()}
    if type(values) in (tuple, list):
        return type(values)(_on(device, value) for value in values)
    return values


def _leaves(network: nn.Module) -> Iterator[nn.Module]:
    """The modules that hold weights of their own."""
    for module in network.modules():
        if module is not network and _tensors(module, False):
            yield module


def _tensors(module: nn.Module, deep: bool) -> list[Tensor]:
    return [*module.parameters(recurse=deep), *module.buffers(recurse=deep)]
