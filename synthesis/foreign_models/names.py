"""Fitting the tensors of a file to those of a network: the names differ with the age of the software.

What a network has and the file has not, and the other way round, is said and never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from torch import Tensor

from synthesis.errors import SynthesisError

# Of no use to a text encoder that only reads prompts, or counted anew by every version of transformers.
IGNORED = re.compile(r"(^|\.)position_ids$|^logit_scale$|^(decoder|vision_model|visual_projection|lm_head)\.")
# Autoencoders before diffusers 0.18 name their attention so.
OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
SHARED = ("shared.weight", "encoder.embed_tokens.weight")  # one tensor under two names in T5
SHOWN = 3


def fit_names(
    component: str, wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The tensors under the network's names, in its order and shapes; `wanted` may be on the meta device.

    Raises SynthesisError that names what is missing, what nobody asked for, and what has another shape.
    """
    found: dict[str, Tensor] = {}
    left: list[str] = []
    for name, tensor in tensors.items():
        own = next((one for one in _spellings(name) if one in wanted and one not in found), None)
        if own is not None:
            found[own] = _shaped(tensor, wanted[own])
        elif not IGNORED.search(name) and name not in SHARED:
            left.append(name)
    for one, other in (SHARED, SHARED[::-1]):
        if one in wanted and one not in found and other in found:
            found[one] = found[other]
    missing = [name for name in wanted if name not in found]
    if missing or left:
        raise SynthesisError(
            f"The {component} does not fit its settings. "
            + " ".join(filter(None, (_listed("Missing", missing), _listed("Not asked for", left))))
        )
    for name, tensor in found.items():
        if tensor.shape != wanted[name].shape:
            raise SynthesisError(
                f"The {component} does not fit its settings: {name} is {_size(tensor)} in the file and "
                f"{_size(wanted[name])} in the network."
            )
    return {name: found[name] for name in wanted}


def _spellings(name: str) -> Iterator[str]:
    """The name itself, then as older or newer software writes it."""
    yield name
    yield name.removeprefix("text_model.")
    yield "text_model." + name
    parts = name.split(".")
    if len(parts) > 2 and "attentions" in parts and parts[-2] in OLD_ATTENTION:
        yield ".".join([*parts[:-2], OLD_ATTENTION[parts[-2]], parts[-1]])


def _shaped(tensor: Tensor, wanted: Tensor) -> Tensor:
    """A 1x1 convolution where a linear layer is wanted is the same numbers; nothing else is reshaped."""
    extra = tensor.ndim - wanted.ndim
    if extra > 0 and tensor.shape[: wanted.ndim] == wanted.shape and set(tensor.shape[wanted.ndim :]) == {1}:
        return tensor.reshape(wanted.shape)
    return tensor


def _size(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a number"


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return ""
    shown = ", ".join(name[:100] for name in names[:SHOWN])
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{what}: {shown}{more}."
