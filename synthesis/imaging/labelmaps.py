"""Other label sets into a model's, by name: TotalSegmentator's, painted ones, the model's own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synthesis.phantoms.labels import LABEL_SET

UNLABELLED = 255
"""What a pixel is that no mapped label covers; never a label of a model."""

# The first pattern that matches a whole normalised name decides. Names on the right are those of
# the abdomen label set; a model that lacks one of them leaves the structure unmapped.
RULES: tuple[tuple[str, str], ...] = (
    (r"(lungs?|kidneys?|renal|pulmonary)_(vessels?|veins?|arter(y|ies))", ""),
    (r"(liver|hepatic)(_segment(_\w+)?|_lobe|_(left|right)_lobe|_parenchyma|_vessels?)?", "liver"),
    (r"((liver|hepatic|focal)_)?(lesions?|tumou?rs?|metastas[ie]s|mass(es)?|hcc|cysts?)(_\d+)?", "lesion"),
    (r"spleen", "spleen"),
    (r"((left|right)_)?kidneys?(_(left|right|cyst_left|cyst_right))?|renal_(cortex|medulla)", "kidneys"),
    (r"pancreas(_(head|body|tail))?", "pancreas"),
    (r"stomach", "stomach"),
    (
        r"(small_|large_)?bowels?|(small_|large_)?intestines?|colon(_\w+)?|duodenum|jejunum|ileum|caecum|cecum|rectum",
        "bowel",
    ),
    (r"gall_?bladder", "gallbladder"),
    (r"(abdominal_|descending_|thoracic_)?aorta", "aorta"),
    (r"iliac_artery(_\w+)?|((common_)?iliac|celiac|coeliac)_?(trunk|arter(y|ies))", "aorta"),
    (r"(inferior_)?vena_cava(_inferior)?|ivc|postcava", "veins"),
    (r"portal_vein(_and_splenic_vein)?|splenic_vein|veins?|iliac_(vena|vein)(_\w+)?|hepatic_veins?", "veins"),
    (r"((left|right)_)?lungs?(_\w+)?", "lung"),
    (r"ascites|free_fluid", "ascites"),
    (r"spinal_(cord|canal)", "spinal canal"),
    (r"ribs?(_\w+)?|costal_cartilages?", "ribs"),
    (r"vertebrae?(_\w+)?|spine|sacrum|hips?(_\w+)?|pelvis|ilium|sternum|bones?|skeleton", "bone"),
    (r"(femur|humerus|scapula|clavicula)(_\w+)?|skull", "bone"),
    (
        r"(autochthon|iliopsoas|gluteus_\w+|quadratus_lumborum|psoas|rectus_abdominis)(_\w+)?"
        r"|(skeletal_)?muscles?(_\w+)?",
        "muscle",
    ),
    (r"((subcutaneous|visceral|torso|intermuscular)_)?fat|subcutaneous(_tissue)?", "fat"),
    (r"skin", "skin"),
    (r"air|gas|background|outside", "air"),
    (r"body(_unspecified|_trunc|_extremities)?|trunk|torso", "body (unspecified)"),
)
_COMPILED = [(re.compile(pattern), target) for pattern, target in RULES]


@dataclass(frozen=True, kw_only=True)
class LabelMap:
    """How a source's label values become a model's.

    table: source value to model value. mapped: source name to model name. unmapped: names of
    source labels that the model has no word for; their pixels count as body without a label.
    """

    table: Mapping[int, int]
    mapped: Mapping[str, str]
    unmapped: tuple[str, ...]

    def apply(self, labels: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """A mask of any shape in the model's values, UNLABELLED where nothing is mapped.

        Raises ValueError for negative values or values above 65535.
        """
        if labels.size and (labels.min() < 0 or labels.max() > 65535):
            raise ValueError(f"labels: expected 0 to 65535, got {labels.min()} to {labels.max()}.")
        lookup = np.full(65536, UNLABELLED, np.uint8)
        for source, target in self.table.items():
            lookup[source] = target
        return lookup[labels.astype(np.uint16)]


def normalised(name: str) -> str:
    """A label's name in lower case with words joined by "_": "Left  Kidney" -> "left_kidney"."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", name.strip())
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def concept_of(name: str) -> str | None:
    """The abdomen label set's name for a structure, or None where it has none."""
    plain = normalised(name)
    for pattern, target in _COMPILED:
        if pattern.fullmatch(plain):
            return target or None
    return None


def label_map(
    source: Sequence[Mapping[str, Any]], label_set: Sequence[Mapping[str, Any]] | None = None
) -> LabelMap:
    """How `source` [{"value", "name"}] maps onto a model's `label_set` of the same form.

    A name that the model itself uses maps to it; other names go by RULES. Source value 0 means
    "no label" whatever its name, unless the source has the model's very own names (then 0 is what
    the model says). Without `label_set` the abdomen label set is the target.
    """
    target = label_set or [{"value": one.value, "name": one.name} for one in LABEL_SET]
    own = {normalised(str(row["name"])): (int(row["value"]), str(row["name"])) for row in target}
    table: dict[int, int] = {}
    mapped: dict[str, str] = {}
    unmapped: list[str] = []
    for row in source:
        value, name = int(row["value"]), str(row["name"])
        found = own.get(normalised(name)) or own.get(normalised(concept_of(name) or ""))
        if value == 0 and normalised(name) not in own:
            continue
        if found is None:
            unmapped.append(name)
            continue
        table[value] = found[0]
        mapped[name] = found[1]
    return LabelMap(table=table, mapped=mapped, unmapped=tuple(unmapped))
