"""A condition in several wordings, from whose means a direction of change is taken; free of torch.

Parmar et al. (SIGGRAPH 2023, section 3.2) average over many sentences, so that what is left between two
means is the change itself and not the words that it happened to be told in.
"""

from __future__ import annotations

from dataclasses import asdict

from synthesis.control.patient_prompts import PatientPrompts
from synthesis.control.prompts import prompt_of
from synthesis.request import Condition

IMAGES = {
    "CT": ("Abdominal CT scan, axial slice", "CT image through the upper abdomen"),
    "T1": ("Abdominal MRI, axial T1-weighted slice", "T1-weighted MR image through the upper abdomen"),
    "T2": ("Abdominal MRI, axial T2-weighted slice", "T2-weighted MR image through the upper abdomen"),
}
SEVERITIES = {
    "none": ("no cirrhosis of the liver", "liver without cirrhosis"),
    "low": ("low cirrhosis of the liver", "liver with low cirrhosis"),
    "mild": ("mild cirrhosis of the liver", "liver with mild cirrhosis"),
    "severe": ("severe cirrhosis of the liver", "liver with severe cirrhosis"),
}
STEATOSIS = ("grade {grade} steatosis", "hepatic steatosis of grade {grade}")
PERSONS = {None: "patient", "F": "woman", "M": "man"}
AGED = ("{person} aged {age}", "{person}, {age} years old")


def captions_of(condition: Condition, prompts: PatientPrompts | None = None) -> tuple[str, ...]:
    """The prompt that the model is told, and the same in other words and in another order.

    prompts: how a model words them whose recipe says so; then all its wordings of a patient are taken, or
    the only one that it knows. What is not stated is left out. As many captions for every condition.
    Raises ValueError for words that are not known.
    """
    if prompts is not None:
        return _worded(condition, prompts)
    found = [prompt_of(condition)]
    for wording in range(2):
        image = IMAGES[condition.modality][wording]
        findings = _findings(condition, wording)
        person = _person(condition, wording)
        found.append(_sentence([image, *findings, *person]))
        found.append(_sentence([image, *person, *findings]))
        found.append(_sentence([*(person or ["patient"]), *findings, image]))
    return tuple(found)


def _worded(condition: Condition, prompts: PatientPrompts) -> tuple[str, ...]:
    if prompts.style not in ("patient", "diverse"):
        return tuple(prompts.prompt(condition, which) for which in range(len(prompts.templates)))
    diverse = PatientPrompts(**asdict(prompts) | {"style": "diverse"})
    return tuple(diverse.prompt(condition, which) for which in range(len(diverse.templates)))


def _findings(condition: Condition, wording: int) -> list[str]:
    found = []
    if condition.severity is not None:
        found.append(SEVERITIES[condition.severity][wording])
    if condition.steatosis is not None:
        found.append(STEATOSIS[wording].format(grade=condition.steatosis))
    return found


def _person(condition: Condition, wording: int) -> list[str]:
    person = PERSONS[condition.sex]
    if condition.age is not None:
        return [AGED[wording].format(age=int(condition.age + 0.5), person=person)]
    return [person] if condition.sex is not None else []


def _sentence(parts: list[str]) -> str:
    words = ", ".join(parts)
    return f"{words[0].upper()}{words[1:]}."
