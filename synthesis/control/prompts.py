"""A condition in the words that a text encoder reads; free of torch, so that a screen may show them.

Axial CT of the abdomen, mild liver cirrhosis, 63-year-old woman, steatosis grade 2.
"""

from __future__ import annotations

from synthesis.request import Condition

UNSTATED = ""  # the prompt that states nothing, from which guidance strengthens

IMAGES = {
    "CT": "Axial CT of the abdomen",
    "T1": "Axial T1-weighted MRI of the abdomen",
    "T2": "Axial T2-weighted MRI of the abdomen",
}
SEVERITY_WORDS = {
    "none": "no liver cirrhosis",
    "low": "low liver cirrhosis",
    "mild": "mild liver cirrhosis",
    "severe": "severe liver cirrhosis",
}
PERSONS = {None: "patient", "F": "woman", "M": "man"}
STEATOSIS = "steatosis grade {grade}"
AGED = "{age}-year-old {person}"


def prompt_of(condition: Condition) -> str:
    """The condition in one sentence; what it does not state is left out.

    A severity between two grades is told by the nearer word: its place between them is what
    `synthesis.control.ordinal` tells. Raises ValueError for words that are not known.
    """
    severities = (None, *SEVERITY_WORDS)
    for name, value, known in (
        ("modality", condition.modality, tuple(IMAGES)),
        ("severity", condition.severity, severities),
        ("sex", condition.sex, tuple(PERSONS)),
    ):
        if value not in known:
            raise ValueError(f"{name} must be one of {list(known)}, got {value!r}")
    parts = [IMAGES[condition.modality]]
    if condition.severity is not None:
        parts.append(SEVERITY_WORDS[condition.severity])
    person = PERSONS[condition.sex]
    if condition.age is not None:
        parts.append(AGED.format(age=int(condition.age + 0.5), person=person))
    elif condition.sex is not None:
        parts.append(person)
    if condition.steatosis is not None:
        parts.append(STEATOSIS.format(grade=condition.steatosis))
    return ", ".join(parts) + "."
