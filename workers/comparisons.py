"""What is found out about a finished image besides its quality: its severity, its nearest training case."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from synthesis.checkpoints import LoadedModel
from synthesis.errors import SynthesisError
from synthesis.imaging.intensity import Normalisation
from synthesis.metrics.feature_nets import judge_features, judge_source
from synthesis.metrics.judges import SCALE, Judges
from synthesis.metrics.nearest import NearestIndex
from synthesis.phantoms.labels import LIVER
from synthesis.request import MODALITIES, SEVERITIES, Condition
from webapp.registry.models import GenerativeModel
from webapp.registry.selectors import model_companion

logger = logging.getLogger(__name__)

FLAGGED_SHARE = 0.99  # an image nearer to a training case than that share of strangers is shown as too near
LEAST_LIVER = 150  # pixels inside the liver's edge below which no texture is read

Image = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]


def compared(
    model: GenerativeModel,
    loaded: LoadedModel,
    judges: Judges | None,
    image: Image,
    labels: Labels,
    of: Condition,
    *,
    adapted: bool = False,
) -> dict[str, Any]:
    """What a quality report says under "severity" and "nearest", as plain JSON; unread severity is left out.

    `adapted`: an adapter lay on the model, whose own training cases no index knows.
    """
    if judges is None or of.modality not in MODALITIES:
        return {"nearest": {"why": "no judge"}}
    read = severity_read(judges, image, labels, of)
    near = nearest_case(
        model, judges, loaded.normalise(image, of.modality), of.modality, loaded.normalisation
    )
    if adapted:
        near["adapted"] = True
    return ({} if read is None else {"severity": read}) | {"nearest": near}


def severity_read(judges: Judges, image: Image, labels: Labels, of: Condition) -> dict[str, Any] | None:
    """The grade that the severity judge reads in the liver, and its level 0 to 3; None where it is too small.

    image: in HU or signal. The level is the mean of the grades, each counted as the judge shares itself out
    over them.
    """
    inner = ndimage.binary_erosion(labels == LIVER, np.ones((3, 3)))
    if int(inner.sum()) < LEAST_LIVER:
        return None
    images = torch.from_numpy(SCALE[of.modality].forward(image))[None, None]
    shares = judges.grade_shares(images, labels[None], torch.tensor([MODALITIES.index(of.modality)]))[0]
    return {
        "asked": round(of.level, 2),
        "level": round(float(shares @ np.arange(len(SEVERITIES))), 2),
        "read": SEVERITIES[int(shares.argmax())],
        "shares": [round(float(share), 3) for share in shares],
    }


def nearest_case(
    model: GenerativeModel,
    judges: Judges,
    scaled: Image,
    modality: str,
    own: Mapping[str, Normalisation] = SCALE,
) -> dict[str, Any]:
    """The training case that the image is most like, or {"why"}: the reason why that is not known.

    scaled: on the model's scale `own`.
    """
    name = f"nearest/{modality}.npz"
    try:
        path = model_companion(model, name)
        if path is None:
            return {"why": "no index"}
        index = _index(path, model.companions[name]["sha256"])
        if index.source != judge_source(judges, own):
            return {"why": "other judge"}
        features = judge_features(judges, scaled[None], np.array([MODALITIES.index(modality)]), own)
        near, threshold = index.nearest(features)[0][0], index.threshold(FLAGGED_SHARE)
    except (SynthesisError, ValueError, IndexError, OSError) as error:
        logger.warning("nearest training case of %s: %s", model, error)
        return {"why": "unreadable"}
    return {
        "case": near.case,
        "distance": round(near.distance, 3),
        "closer_than_training": round(near.closer_than, 4),
        "closer_than_held_out": _rounded(near.closer_than_held_out),
        "held_out": len(index.held_out),
        "threshold": _rounded(threshold),
        "threshold_share": FLAGGED_SHARE,
        "training_cases": len(index.cases),
    }


@lru_cache(maxsize=12)
def _index(path: Path, sha256: str) -> NearestIndex:
    """An index in memory; another digest is another index."""
    return NearestIndex.load(path)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
