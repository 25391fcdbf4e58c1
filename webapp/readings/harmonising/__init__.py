"""Both arms of a study brought to one grid, one field, one range and one step, by the same means."""

from webapp.readings.harmonising.harmonise import Harmonised, harmonise
from webapp.readings.harmonising.summary import before_and_after, describe
from webapp.readings.harmonising.survey import Survey, survey
from webapp.readings.harmonising.target import Options, Target, Values, choose_target

__all__ = [
    "Harmonised",
    "Options",
    "Survey",
    "Target",
    "Values",
    "before_and_after",
    "choose_target",
    "describe",
    "harmonise",
    "survey",
]
