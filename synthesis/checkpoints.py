"""Weights and recipe in one safetensors file: to disk, and back into a network that is ready to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from synthesis.catalog import BACKBONES
from synthesis.control.patient_prompts import PatientPrompts, prompts_in
from synthesis.drift import TrainedDrift, trained_drift
from synthesis.errors import SynthesisError
from synthesis.imaging.intensity import Normalisation, normalisations
from synthesis.networks import Network
from synthesis.packing import HASH_FILE as HASH_FILE
from synthesis.packing import WEIGHTS_FILE as WEIGHTS_FILE
from synthesis.packing import component_sizes, empty_weights, fill, read_packed, write_packed
from synthesis.packing import file_sha256 as file_sha256


@dataclass(frozen=True)
class LoadedModel:
    """A network in evaluation mode with everything that is known about it."""

    network: Network
    recipe: dict[str, Any]
    weights_sha256: str
    normalisation: Mapping[str, Normalisation]

    def normalise(self, image: npt.ArrayLike, modality: str) -> npt.NDArray[np.float32]:
        """HU (CT) or signal (MR) to the network's scale."""
        return self._map(modality).forward(image)

    def denormalise(self, image: npt.ArrayLike, modality: str) -> npt.NDArray[np.float32]:
        """The network's scale to HU (CT) or signal (MR)."""
        return self._map(modality).inverse(image)

    def times(self, steps: int, modality: str | None = None, sampler: str = "") -> list[float]:
        """The time grid from network.start to 1 this model was calibrated with for that many calls.

        For the sampler "shortcut" the steps that the model learned, if it did. Raises
        SynthesisError where that is more steps than it learned.
        """
        if sampler == "shortcut" and "shortcut" in self.recipe:
            return learned_grid(steps, **self.recipe["shortcut"])
        image = self.recipe["image"]
        own = self.network.shift(int(image["rows"]), int(image["columns"]))
        shift = _at_steps(self._calibrated("shift", modality), steps, default=own)
        return shifted_grid(steps, shift, self.network.start)

    def kappa(self, steps: int, modality: str | None = None) -> float:
        """The calibrated strength of the Tweedie correction for that many network calls.

        Between calibrated numbers of calls: interpolated in log(calls). 1 where the model was
        never calibrated, which is right for an exact velocity (math.md section 3).
        """
        return _at_steps(self._calibrated("kappa", modality), steps, default=1.0)

    def temperature(self, steps: int, modality: str | None = None) -> float:
        """The calibrated scale of the start noise's long waves for that many learned steps, else 1."""
        return _at_steps(self._calibrated("temperature", modality), steps, default=1.0)

    def _calibrated(self, name: str, modality: str | None) -> dict[str, float]:
        """Number of calls -> value, the modality's own table where there is one."""
        table = self.recipe.get("calibration", {}).get(name, {})
        if modality in table:
            table = table[modality]
        return {key: value for key, value in table.items() if key.isdigit()}

    def _map(self, modality: str) -> Normalisation:
        if modality not in self.normalisation:
            raise SynthesisError(
                f"The model {self.recipe.get('name', '')} knows "
                f"{', '.join(self.normalisation)}, not {modality}."
            )
        return self.normalisation[modality]


def save_model(folder: Path | str, network: Network, recipe: Mapping[str, Any]) -> str:
    """Write network, recipe and tokenizers to folder/model.safetensors and its digest, which is returned.

    A network that was trained here is written in fp16, one from elsewhere (in latents) in its own types.
    The network's own options replace whatever the recipe says under "backbone".
    """
    kept = network.state_dict()
    if not network.in_latents:
        kept = {name: tensor.to("cpu", torch.float16) for name, tensor in kept.items()}
    full = dict(recipe) | {"backbone": network.recipe()}
    sizes = component_sizes(kept, getattr(network.options, "components", ()))
    if sizes:
        full["components"] = sizes
    return write_packed(Path(folder), kept, full, network.tokenizers)


def load_model(
    folder: Path | str,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = torch.float32,
    *,
    mapped: bool = False,
) -> LoadedModel:
    """The model in that folder, in evaluation mode; `folder` may also be the .safetensors file itself.

    dtype: what the weights are in memory; None leaves them as they are in the file, and mapped from it.
    mapped: leave those mapped that have this type already.
    Raises SynthesisError, in a plain sentence, where the file is missing, is not safetensors (a
    pickle is never opened), carries no recipe, does not fit its recipe, or is not the file whose
    digest stands beside it.
    """
    path = Path(folder)
    if path.is_dir():
        path = path / WEIGHTS_FILE
    if not path.is_file():
        raise SynthesisError(f"There is no model at {path}.")
    digest = file_sha256(path)
    _check_digest(path, digest)
    packed = read_packed(path)
    network = empty_network(packed.recipe)
    try:
        fill(network, packed.tensors, dtype=dtype, mapped=mapped)
        network.use_tokenizers(packed.tokenizers)
    except ValueError as problem:
        raise SynthesisError(
            f"The weights in {path.name} do not fit the recipe they carry ({problem})."
        ) from problem
    network = network.to(device=device).eval().requires_grad_(False)
    network.use_drift(drift_in(packed.recipe, network))
    network.use_prompts(prompts_for(packed.recipe, network))
    return LoadedModel(network, packed.recipe, digest, normalisations(packed.recipe))


def read_recipe(path: Path | str) -> dict[str, Any]:
    """Only the recipe of a model file, without building the network."""
    path = Path(path)
    return read_packed(path / WEIGHTS_FILE if path.is_dir() else path, tensors=False).recipe


def empty_network(recipe: Mapping[str, Any]) -> Network:
    """The network of a recipe with its weights on the meta device: built at once, whatever its size."""
    with empty_weights():
        return build_network(recipe)


def build_network(recipe: Mapping[str, Any]) -> Network:
    """A network with fresh weights, as the recipe's "backbone" describes it."""
    values = dict(recipe.get("backbone", {}))
    name = str(values.pop("name", "unet"))
    if name not in BACKBONES:
        raise SynthesisError(f'The model\'s recipe asks for a network "{name}" this version does not know.')
    options = BACKBONES[name].load_options()
    unknown = sorted(set(values) - {field.name for field in fields(options)})
    if unknown:
        raise SynthesisError(
            f"The model's recipe has backbone settings this version does not know: {unknown}."
        )
    settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    try:
        network: Network = BACKBONES[name].load()(options(**settings))
    except (KeyError, TypeError, ValueError) as problem:
        raise SynthesisError(f"The model's recipe describes no network of its kind: {problem}") from problem
    return network


def shifted_grid(steps: int, shift: float, start: float = 0.0) -> list[float]:
    """steps + 1 times from start to 1, uniform in sigma = 1 - t, then shifted (math.md section 0).

    sigma' = s sigma / (1 + (s - 1) sigma): shift 1 is uniform, below 1 puts more steps near the data.
    A later start squeezes the grid evenly into what is left.
    """
    if steps < 1 or shift <= 0:
        raise ValueError(f"expected steps >= 1 and shift > 0, got {steps} and {shift}")
    inner = [1 - k / steps for k in range(1, steps)]
    grid = [0.0, *(1 - shift * sigma / (1 + (shift - 1) * sigma) for sigma in inner)]
    return [*(start + (1 - start) * t for t in grid), 1.0]


def learned_grid(steps: int, *, segments: int, shift: float) -> list[float]:
    """steps + 1 times from 0 to 1 between which only steps lie that a shortcut model learned.

    Learned steps are 1, 2, 4 ... segments of `shifted_grid(segments, shift)` long and start at
    multiples of their length: the longest step, of equal ones the last, is halved until there are
    enough. Raises SynthesisError where there are fewer segments than steps.
    """
    if not 1 <= steps <= segments:
        raise SynthesisError(
            f"This model learned to draw in 1 to {segments} steps, not in {steps}. "
            f"Ask for at most {segments}, or choose another sampler."
        )
    pieces = [(0, segments)]
    while len(pieces) < steps:
        start, end = max(pieces, key=lambda piece: (piece[1] - piece[0], piece[0]))
        pieces.remove((start, end))
        pieces += [(start, (start + end) // 2), ((start + end) // 2, end)]
    grid = shifted_grid(segments, shift)
    return [0.0, *(grid[end] for _, end in sorted(pieces))]


def drift_in(recipe: Mapping[str, Any], network: Network) -> TrainedDrift | None:
    """The drift that a recipe carries for that network, None without one.

    One that answers the noise itself (the objective epsilon) has no velocity that a drift could be taken
    out of: whoever runs it sees to that. Raises SynthesisError where the recipe's drift makes no sense.
    """
    try:
        drift = trained_drift(recipe)
        if drift is None or recipe.get("method") == "epsilon":
            return None
        image = recipe["image"]
        states = torch.empty((1, *network.state_shape(int(image["rows"]), int(image["columns"]))))
        drift.noise_mean(states, 0.0, preserving=False)
    except ValueError as problem:
        raise SynthesisError(f"The drift in the model's recipe makes no sense: {problem}") from problem
    return drift


def prompts_for(recipe: Mapping[str, Any], network: Network) -> PatientPrompts | None:
    """The prompts that a recipe asks for and that network reads, None where it asks for none.

    Raises SynthesisError where the recipe's prompts make no sense.
    """
    try:
        prompts = prompts_in(recipe)
    except (TypeError, ValueError) as problem:
        raise SynthesisError(f"The prompts in the model's recipe make no sense: {problem}") from problem
    if prompts is not None and not network.tokenizers:
        raise SynthesisError("The prompts in the model's recipe make no sense: the network reads no words.")
    return prompts


def _check_digest(path: Path, digest: str) -> None:
    expected = path.parent / HASH_FILE
    if expected.is_file() and expected.read_text(encoding="ascii").split()[0] != digest:
        raise SynthesisError(
            f"The weights in {path.name} are not the ones that were published: their SHA-256 differs "
            f"from {HASH_FILE}. They were not loaded."
        )


def _at_steps(table: Mapping[str, float], steps: int, default: float) -> float:
    """Value at `steps` from a table keyed by number of calls, interpolated in log(calls)."""
    if not table:
        return default
    known = sorted((int(key), float(value)) for key, value in table.items())
    return float(np.interp(np.log(steps), np.log([k for k, _ in known]), [v for _, v in known]))
