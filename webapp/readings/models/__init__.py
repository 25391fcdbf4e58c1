"""The records of reader studies, in three drawers: the study, what readers do, and the truth."""

from webapp.readings.models.study import Reading, ReadingItem
from webapp.readings.models.taking import Answer, Assignment, Place, PlaceEvent, ViewingLog
from webapp.readings.models.truth import ItemTruth, Preparation, ReadingReport

__all__ = [
    "Answer",
    "Assignment",
    "ItemTruth",
    "Place",
    "PlaceEvent",
    "Preparation",
    "Reading",
    "ReadingItem",
    "ReadingReport",
    "ViewingLog",
]
