"""What each tissue looks like: HU for CT, and signal from T1, T2 and proton density for MR.

Sources
- Unenhanced HU follow the tissue compositions of Woodard & White, Br J Radiol 1986;59:1209 and
  ICRU Report 44 (1989); the portal-venous enhancement added to them here is a typical round value.
- Vertebral trabecular HU against age: Jang et al., Radiology 2019;291:360 (226 HU below 30 years,
  about -2.5 HU per year).
- T1, T2 at 1.5 T: de Bazelaire et al., Radiology 2004;230:652 (liver, spleen, kidney, pancreas,
  muscle, marrow, subcutaneous fat); Stanisz et al., Magn Reson Med 2005;54:507 (blood).
  Fat is given a longer effective T2, since refocusing trains make it bright: Henkelman et al.,
  J Magn Reson Imaging 1992;2:533. Fluids and lesions carry typical round values.
- Liver fat fractions per steatosis grade: within the grades' ranges of Tang et al.,
  Radiology 2013;267:422.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from synthesis.phantoms import labels as L
from synthesis.phantoms.attributes import Attributes

__all__ = ["FAT_FRACTION", "MODALITIES", "TISSUES", "WINDOWS", "Tissue", "marrow_hu", "tissue_values"]

MODALITIES: Final[tuple[str, ...]] = ("CT", "T1", "T2")

# Range of the images worth showing and learning: HU for CT, signal for MR.
WINDOWS: Final[dict[str, tuple[float, float]]] = {
    "CT": (-200.0, 300.0),
    "T1": (0.0, 1000.0),
    "T2": (0.0, 1400.0),
}

FAT_FRACTION: Final[tuple[float, ...]] = (0.03, 0.11, 0.20, 0.30)

SIGNAL_SCALE: Final = 2000.0
T1_REPETITION_MS: Final = 150.0
T1_ECHO_MS: Final = 4.6
T1_FLIP_DEG: Final = 70.0
T2_REPETITION_MS: Final = 4000.0
T2_ECHO_MS: Final = 80.0


@dataclass(frozen=True)
class Tissue:
    """HU (portal-venous phase), T1 and T2 in ms at 1.5 T, relative proton density.

    flow: share of the spin-echo signal left by through-plane flow.
    """

    hu: float
    t1: float
    t2: float
    density: float
    flow: float = 1.0


TISSUES: Final[dict[str, Tissue]] = {
    "air": Tissue(-1000.0, 1000.0, 10.0, 0.0),
    "disc": Tissue(90.0, 900.0, 60.0, 0.70),
    "fat": Tissue(-105.0, 343.0, 110.0, 0.85),
    "muscle": Tissue(60.0, 1008.0, 40.0, 0.78),
    "marrow": Tissue(160.0, 549.0, 60.0, 0.60),
    "cortex": Tissue(650.0, 900.0, 10.0, 0.10),
    "rib": Tissue(330.0, 549.0, 45.0, 0.38),
    "liver": Tissue(112.0, 586.0, 46.0, 0.80),
    "liver fat": Tissue(-100.0, 343.0, 110.0, 0.85),
    "spleen": Tissue(124.0, 1057.0, 79.0, 0.82),
    "renal cortex": Tissue(190.0, 966.0, 87.0, 0.85),
    "renal medulla": Tissue(160.0, 1412.0, 85.0, 0.87),
    "pancreas": Tissue(96.0, 584.0, 50.0, 0.82),
    "gut wall": Tissue(92.0, 950.0, 55.0, 0.80),
    "gut content": Tissue(22.0, 1500.0, 130.0, 0.85),
    "bile": Tissue(10.0, 2200.0, 420.0, 0.95),
    "arterial blood": Tissue(165.0, 1441.0, 290.0, 0.85, 0.12),
    "venous blood": Tissue(158.0, 1441.0, 290.0, 0.85, 0.16),
    "lung": Tissue(-840.0, 1200.0, 40.0, 0.12),
    "ascites": Tissue(9.0, 2600.0, 500.0, 0.95),
    "lesion hypo": Tissue(52.0, 1250.0, 88.0, 0.84),
    "lesion hyper": Tissue(172.0, 420.0, 74.0, 0.84),
    "cerebrospinal fluid": Tissue(14.0, 3500.0, 1000.0, 0.98),
    "cord": Tissue(38.0, 745.0, 74.0, 0.75),
    "skin": Tissue(45.0, 900.0, 40.0, 0.60),
}


def marrow_hu(age: float) -> float:
    """Return the trabecular HU of a vertebra at an age: 226 HU until 30, then -2.5 HU per year."""
    return 226.0 - 2.5 * max(age - 30.0, 0.0)


def spoiled_echo(tissue: Tissue) -> float:
    """Return the T1-weighted spoiled gradient-echo signal.

    S = M0 sin(a) (1 - E1) / (1 - cos(a) E1) exp(-TE / T2*), E1 = exp(-TR / T1)
    (Haase et al., J Magn Reson 1986;67:258), with T2* taken as T2 / 2.
    """
    flip = np.deg2rad(T1_FLIP_DEG)
    e1 = np.exp(-T1_REPETITION_MS / tissue.t1)
    decay = np.exp(-2.0 * T1_ECHO_MS / tissue.t2)
    return float(tissue.density * np.sin(flip) * (1 - e1) / (1 - np.cos(flip) * e1) * decay)


def spin_echo(tissue: Tissue) -> float:
    """Return the T2-weighted spin-echo signal S = M0 (1 - exp(-TR/T1)) exp(-TE/T2), less flow."""
    recovery = 1 - np.exp(-T2_REPETITION_MS / tissue.t1)
    return float(tissue.density * tissue.flow * recovery * np.exp(-T2_ECHO_MS / tissue.t2))


def _value(tissue: Tissue, modality: str) -> float:
    if modality == "CT":
        return tissue.hu
    signal = spoiled_echo(tissue) if modality == "T1" else spin_echo(tissue)
    return SIGNAL_SCALE * signal


def tissue_values(modality: str, attributes: Attributes) -> dict[str, float]:
    """Return each tissue's value (HU or signal) for a modality and a person.

    Liver and liver lesions hold the fat fraction f of their steatosis grade:
    (1 - f) tissue + f fat, linear in HU and in in-phase signal. Marrow follows age; muscle
    loses up to 15 % to fat between 40 and 90 years. ValueError for an unknown modality.
    """
    if modality not in MODALITIES:
        raise ValueError(f"modality must be one of {MODALITIES}, got {modality!r}")
    values = {name: _value(tissue, modality) for name, tissue in TISSUES.items()}
    fat = values["fat"]

    def mix(name: str, share: float, other: float) -> None:
        values[name] = (1 - share) * values[name] + share * other

    fraction = FAT_FRACTION[attributes.steatosis]
    for name in ("liver", "lesion hypo", "lesion hyper"):
        mix(name, fraction, values["liver fat"])
    mix("muscle", 0.15 * max(attributes.age - 40.0, 0.0) / 50.0, fat)
    if modality == "CT":
        values["marrow"] = marrow_hu(attributes.age)
        loss = marrow_hu(attributes.age) / marrow_hu(50.0)
        values["rib"] *= 0.6 + 0.4 * loss
        values["cortex"] *= 0.75 + 0.25 * loss
    else:
        # Red marrow turns to fat with age.
        mix("marrow", 0.2 + 0.5 * (attributes.age - 18.0) / 72.0, fat)
    return values


# The tissue that fills most of each label, for reports of organ means.
MAIN_TISSUE: Final[dict[int, str]] = {
    L.AIR: "air",
    L.FAT: "fat",
    L.MUSCLE: "muscle",
    L.LIVER: "liver",
    L.SPLEEN: "spleen",
    L.PANCREAS: "pancreas",
    L.GALLBLADDER: "bile",
    L.AORTA: "arterial blood",
    L.VEINS: "venous blood",
    L.LUNG: "lung",
    L.ASCITES: "ascites",
}
