"""The page of the evidence on Latent Drifting: tables and verdicts say what was stored, and nothing else."""

from copy import deepcopy

import numpy as np
from PIL import Image

from synthesis.drift_choice import PAPER_GRID
from training.evidence.drift_sets import SIDE
from training.evidence.drift_sheet import ACROSS, HEADING, write_sheet
from training.evidence.drift_tables import BEGIN, END, document
from training.evidence.drift_verdicts import verdicts


def a_row(kid_value, fid_value=1.0, bright=0.1):
    return {
        "n": 5,
        "kid": {"value": kid_value, "low": kid_value - 0.001, "high": kid_value + 0.001},
        "fid": fid_value,
        "ln_radiomics": 3.0,
        "l1": 0.4,
        "brightness_error": bright,
        "brightness_spread": 1.1,
        "background_error": 0.02,
        "nearer_than_held_out": 0.5,
        "copies": 0.0,
        "example": "A chest X-ray.",
    }


def some_results():
    rows = {"chest-real": a_row(0.001)}
    for seed in (1, 2, 3):
        rows[f"chest-basic-plain-{seed}"] = a_row(0.05 + 0.001 * seed)
        rows[f"chest-basic-noise+0.10-{seed}"] = a_row(0.03 + 0.0011 * seed, bright=0.01)
    rows["chest-dreambooth-plain-1"], rows["chest-dreambooth-noise+0.10-1"] = a_row(0.08), a_row(0.09)
    rows["chest-basic-noise+0.10-generic-1"] = a_row(0.06)
    found = {f"{d:+.2f}": {"l1": 0.3 + abs(d - 0.1), "kid": 0.1, "brightness_error": 0.2} for d in PAPER_GRID}
    delta = {
        "used": 0.1,
        "trained": found,
        "trained_estimates": {
            "terminal_snr": {"l1": 0.31, "kid": 0.1, "brightness_error": 0.1, "delta": [0.1, 0.0]},
            "inversion": {"l1": 0.5, "kid": 0.2, "brightness_error": 0.1, "delta": [0.1, 0.0]},
        },
    }
    interval = {"value": 0.8, "low": 0.7, "high": 0.9}
    return {
        "about": {
            "minutes": 60.0, "seeds": [1, 2, 3], "steps": {"tuning": 200}, "sampler_steps": 30,
            "updates": 300, "classifiers": 3,
        },
        "source": {},
        "counts": {"chest": {s: {"pictures": 9, "patients": 7} for s in ("train", "validation", "test")}},
        "net": {"net": "a net", "weights_sha256": "ab" * 32, "preprocessing": "none", "dimensions": 640},
        "delta": {"chest": delta},
        "runs": {"chest-basic-plain-1": {"steps": 200, "seconds": 60.0, "seed": 1}},
        "rows": rows,
        "gaps": {
            "chest-dreambooth-noise+0.10-1": {"value": 0.01, "low": 0.005, "high": 0.02},
            "chest-basic-noise+0.10-1": {"value": -0.02, "low": -0.03, "high": -0.01},
        },
        "classifier": {
            "real": interval,
            "without drift, drawn": interval | {"value": 0.6, "low": 0.5, "high": 0.7},
            "with drift, drawn": interval | {"value": 0.65, "low": 0.62, "high": 0.7},
            "with drift, half and half": interval
            | {"over_real": {"value": -0.1, "low": -0.2, "high": -0.05}},
        },
    }  # fmt: skip


def said(results, part):
    found = [line for line in verdicts(results).splitlines() if part in line]
    assert len(found) == 1, found
    return found[0]


def test_verdicts_follow_the_figures():
    results = some_results()
    assert "**Held**" in said(results, "basic fine-tuning draws better")
    assert "3 of 3 seeds" in said(results, "basic fine-tuning draws better")
    assert "**Held**" in said(results, "the mean grey value comes nearer")
    assert "**Did not hold**" in said(results, "drift helps the other methods")
    assert "**Held**" in said(results, "the best delta is")
    assert "**Held**" in said(results, "terminal SNR, without")
    assert "**Did not hold**" in said(results, "inversion, without a search")
    assert "**Held**" in said(results, "beats generic prompts")
    assert "**Held**" in said(results, "train a better classifier")
    assert "**Did not hold**" in said(results, "half and half beats real alone")
    worse = deepcopy(results)
    for seed in (1, 2, 3):
        worse["rows"][f"chest-basic-noise+0.10-{seed}"] = a_row(0.08 + 0.001 * seed, bright=0.3)
    assert "**Did not hold**" in said(worse, "basic fine-tuning draws better")
    assert "**Did not hold**" in said(worse, "the mean grey value comes nearer")
    alike = deepcopy(results)
    alike["rows"]["chest-basic-noise+0.10-generic-1"] = a_row(0.0312)
    assert "**Not shown**" in said(alike, "beats generic prompts")
    one = deepcopy(results)
    one["about"]["seeds"] = [1]
    assert "**Not shown**" in said(one, "basic fine-tuning draws better")


def test_a_change_of_one_seed_counts_only_beyond_what_seeds_differ_by():
    results = some_results()
    results["rows"]["chest-dreambooth-noise+0.10-1"] = a_row(0.07)
    results["gaps"]["chest-dreambooth-noise+0.10-1"] = {"value": -0.01, "low": -0.02, "high": -0.005}
    assert "**Held**" in said(results, "drift helps the other methods")
    results["rows"]["chest-basic-noise+0.10-3"] = a_row(0.05)
    assert "**Not shown**" in said(results, "drift helps the other methods")


def test_a_search_that_tells_no_delta_from_another_shows_nothing():
    results = some_results()
    flat = {f"{d:+.2f}": {"l1": 1.2 + 0.05 * abs(d), "kid": 0.1} for d in PAPER_GRID}
    results["delta"]["chest"]["trained"] = flat
    for estimate in results["delta"]["chest"]["trained_estimates"].values():
        estimate["l1"] = 1.22
    for claim in ("the best delta is", "terminal SNR, without", "inversion, without"):
        assert "**Not shown**" in said(results, claim)
        assert "tells no delta from another" in said(results, claim)


def test_the_document_says_what_was_stored_and_keeps_what_people_wrote():
    results = some_results()
    page = document(results, f"# Mine\n\nBefore.\n\n{BEGIN}\nstale\n{END}\n\nAfter.\n")
    assert page.startswith("# Mine\n\nBefore.")
    assert page.endswith("After.\n")
    assert "stale" not in page
    assert "0.0520 [0.0495, 0.0545]" in page  # plain, over the seeds
    assert "-0.0198 [" in page
    assert "-0.0200 [-0.0300, -0.0100]" in page
    assert "terminal snr (+0.100 +0.000)" in page
    assert "-0.100 [-0.200, -0.050]" in page
    assert "nan" not in page


def test_the_sheet_shows_what_was_drawn_and_nothing_else(tmp_path):
    results = some_results()
    write_sheet(results, tmp_path, tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()
    np.save(tmp_path / "test-chest-basic-plain-1.npy", np.full((20, SIDE, SIDE), -1.0, np.float32))
    write_sheet(results, tmp_path, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        shown = np.asarray(sheet)
    assert shown.shape == (HEADING + SIDE, ACROSS * SIDE)
    assert (shown[HEADING:] == 0).all()


def test_a_page_without_figures_is_still_a_page():
    empty = {part: {} for part in ("source", "counts", "delta", "runs", "rows", "gaps", "classifier")}
    page = document({"about": {"seeds": [1]}, **empty, "missing": ["chest-basic-plain-1"]}, "")
    assert "Not run: chest-basic-plain-1." in page
