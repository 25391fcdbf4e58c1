"""Tissue values: the table, the signal equations, and what age and fat do to them."""

import numpy as np
import pytest

from synthesis.phantoms import MODALITIES, WINDOWS, Attributes, abdomen
from synthesis.phantoms import labels as L
from synthesis.phantoms.contrast import (
    FAT_FRACTION,
    MAIN_TISSUE,
    TISSUES,
    Tissue,
    marrow_hu,
    spin_echo,
    spoiled_echo,
    tissue_values,
)
from synthesis.phantoms.phantom import PERSON_HU


def core(mask):
    """The pixels of a mask whose eight neighbours belong to it too: no partial volume."""
    inner = mask.copy()
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            inner &= np.roll(mask, (dy, dx), (0, 1))
    return inner


def test_spoiled_echo_agrees_with_a_worked_value():
    # TR 150 ms, flip 70 deg, T1 586 ms, TE 4.6 ms with T2* = 23 ms, density 0.8, by hand:
    # E1 = 0.774163, (1 - E1) sin a / (1 - E1 cos a) = 0.288644, decay = 0.818731.
    assert spoiled_echo(TISSUES["liver"]) == pytest.approx(0.8 * 0.288644 * 0.818731, rel=1e-4)


def test_spin_echo_agrees_with_a_worked_value():
    # T1 1057 ms, T2 79 ms, density 0.82: 1 - exp(-4000/1057) = 0.977275, exp(-80/79) = 0.363251.
    assert spin_echo(TISSUES["spleen"]) == pytest.approx(0.82 * 0.977275 * 0.363251, rel=1e-4)


def test_signal_falls_with_t1_and_rises_with_t2():
    assert spoiled_echo(Tissue(0, 400, 60, 1)) > spoiled_echo(Tissue(0, 900, 60, 1))
    assert spin_echo(Tissue(0, 900, 90, 1)) > spin_echo(Tissue(0, 900, 60, 1))


def test_marrow_follows_age():
    assert marrow_hu(25) == marrow_hu(30) == 226.0
    assert marrow_hu(70) == pytest.approx(126.0)


def test_liver_mixes_with_fat_linearly():
    for grade, share in enumerate(FAT_FRACTION):
        value = tissue_values("CT", Attributes(steatosis=grade))["liver"]
        assert value == pytest.approx((1 - share) * 112.0 - share * 100.0)


def test_unknown_modality_is_refused_by_name():
    with pytest.raises(ValueError, match="PET"):
        tissue_values("PET", Attributes())


@pytest.mark.parametrize("modality", MODALITIES)
def test_every_shown_range_holds_the_soft_tissues(modality):
    low, high = WINDOWS[modality]
    values = tissue_values(modality, Attributes())
    for name in ("liver", "spleen", "muscle", "fat", "pancreas"):
        assert low < values[name] < high


def test_organ_means_meet_the_table():
    sums: dict[int, list[float]] = {}
    for seed in range(40):
        phantom = abdomen(seed, attributes=Attributes(age=40.0))
        for label in MAIN_TISSUE:
            inside = core(phantom.labels == label)
            if label == L.GALLBLADDER:
                inside = core(inside)
            if inside.sum() >= 12:
                sums.setdefault(label, []).append(float(np.median(phantom.image[inside])))
    table = tissue_values("CT", Attributes(age=40.0))
    for label in (L.LIVER, L.SPLEEN, L.MUSCLE, L.FAT, L.AORTA, L.LUNG, L.GALLBLADDER):
        got = float(np.mean(sums[label]))
        slack = 12.0 if label == L.LUNG else 3 * PERSON_HU / np.sqrt(len(sums[label])) + 1.5
        assert got == pytest.approx(table[MAIN_TISSUE[label]], abs=slack), L.label_name(label)


def test_mr_contrasts_have_the_right_order():
    t1, t2 = (tissue_values(m, Attributes()) for m in ("T1", "T2"))
    assert t1["fat"] > t1["liver"] > t1["spleen"] > t1["cerebrospinal fluid"]
    assert t2["cerebrospinal fluid"] > t2["spleen"] > t2["liver"] > t2["arterial blood"]
    assert t1["lesion hypo"] < t1["liver"]
    assert t2["lesion hypo"] > t2["liver"]
