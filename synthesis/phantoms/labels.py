"""The label set of the abdomen phantoms and of every model trained on them."""

from dataclasses import dataclass
from typing import Final

__all__ = [
    "AIR",
    "AORTA",
    "ASCITES",
    "BODY",
    "BONE",
    "BOWEL",
    "CANAL",
    "FAT",
    "GALLBLADDER",
    "KIDNEYS",
    "LABEL_SET",
    "LESION",
    "LIVER",
    "LUNG",
    "MUSCLE",
    "PANCREAS",
    "RIBS",
    "SKIN",
    "SPLEEN",
    "STOMACH",
    "VEINS",
    "Label",
    "label_name",
]

AIR: Final = 0
BODY: Final = 1
FAT: Final = 2
MUSCLE: Final = 3
BONE: Final = 4
RIBS: Final = 5
LIVER: Final = 6
SPLEEN: Final = 7
KIDNEYS: Final = 8
PANCREAS: Final = 9
STOMACH: Final = 10
BOWEL: Final = 11
GALLBLADDER: Final = 12
AORTA: Final = 13
VEINS: Final = 14
LUNG: Final = 15
ASCITES: Final = 16
LESION: Final = 17
CANAL: Final = 18
SKIN: Final = 19


@dataclass(frozen=True, kw_only=True)
class Label:
    """One structure: its value in a mask, its plain name and its colour on screen."""

    value: int
    name: str
    color: str


# 0 is air wherever it is: around the body, and gas inside stomach and bowel.
# 1 is what the phantom has no name for (discs) and what a partial mask leaves unsaid.
LABEL_SET: Final[tuple[Label, ...]] = (
    Label(value=AIR, name="air", color="#000000"),
    Label(value=BODY, name="body (unspecified)", color="#6b7280"),
    Label(value=FAT, name="fat", color="#e9d48a"),
    Label(value=MUSCLE, name="muscle", color="#a8433f"),
    Label(value=BONE, name="bone", color="#f3ead7"),
    Label(value=RIBS, name="ribs", color="#d9cfae"),
    Label(value=LIVER, name="liver", color="#c8713d"),
    Label(value=SPLEEN, name="spleen", color="#8e5bb5"),
    Label(value=KIDNEYS, name="kidneys", color="#d9823b"),
    Label(value=PANCREAS, name="pancreas", color="#e8b04a"),
    Label(value=STOMACH, name="stomach", color="#d77fa1"),
    Label(value=BOWEL, name="bowel", color="#b98b6a"),
    Label(value=GALLBLADDER, name="gallbladder", color="#5fae57"),
    Label(value=AORTA, name="aorta", color="#e23b3b"),
    Label(value=VEINS, name="veins", color="#3f78d8"),
    Label(value=LUNG, name="lung", color="#7fc4d9"),
    Label(value=ASCITES, name="ascites", color="#3fb8af"),
    Label(value=LESION, name="lesion", color="#f2e442"),
    Label(value=CANAL, name="spinal canal", color="#9fb4e6"),
    Label(value=SKIN, name="skin", color="#d9a98a"),
)


def label_name(value: int) -> str:
    """Return the plain name of a label value; ValueError if the set has no such value."""
    if not 0 <= value < len(LABEL_SET):
        raise ValueError(f"label must lie in 0..{len(LABEL_SET) - 1}, got {value}")
    return LABEL_SET[value].name
