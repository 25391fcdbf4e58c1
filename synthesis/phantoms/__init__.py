"""Procedural abdomen phantoms in CT and MR with exact truth (numpy only)."""

from synthesis.phantoms.attributes import GRADES, MAX_LESIONS, Attributes, draw_attributes
from synthesis.phantoms.contrast import MODALITIES, WINDOWS
from synthesis.phantoms.labels import LABEL_SET, Label, label_name
from synthesis.phantoms.phantom import Phantom, abdomen
from synthesis.phantoms.series import DEMO_SERIES, PhantomSeries, SeriesPlan, phantom_series
from synthesis.phantoms.splits import SPLIT_OFFSETS, phantom_seed

__all__ = [
    "DEMO_SERIES",
    "GRADES",
    "LABEL_SET",
    "MAX_LESIONS",
    "MODALITIES",
    "SPLIT_OFFSETS",
    "WINDOWS",
    "Attributes",
    "Label",
    "Phantom",
    "PhantomSeries",
    "SeriesPlan",
    "abdomen",
    "draw_attributes",
    "label_name",
    "phantom_seed",
    "phantom_series",
]
