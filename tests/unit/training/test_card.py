"""The rows that a model's page gets: every measure beside its floor, in an order that stays."""

import json

from training.card import NOT_MEASURED, rows
from webapp.registry.cards import later_measures


def figures(scale=1.0, *, pairs=True):
    """Figures as `training.set_measures.compare` makes them; without pairs as `set_distances`."""
    found = {
        "n": 512,
        "seed": 0,
        "mfid": {"value": 10 * scale, "infinity": 4 * scale, "n": 512, "m": 512},
        "kid": 0.001 * scale,
        "manifold": {"precision": 0.9, "recall": 0.8, "density": 1.1, "coverage": 0.7, "k": 5},
        "radiomics": {"CT": {"value": 3 * scale, "n": 256}, "T1": {"value": 5 * scale, "n": 128}},
        "nearest": {"CT": {"median_distance": 4.0 * scale, "n": 256}},
    }
    if pairs:
        found["likeness"] = {"CT": {"ssim": 0.87, "ms_ssim": 0.97, "psnr": 27.6, "n": 256}}
    return found


def test_every_measure_stands_beside_what_real_images_reach():
    made = list(rows(figures(2.0), figures(pairs=False)))
    by_name = {row["name"]: row for row in made}
    assert by_name["MFID"] == {"name": "MFID", "value": 20.0, "real": 10.0, "n": 512}
    assert by_name["Radiomics distance, T1"]["n"] == 128
    assert by_name["SSIM, CT"]["real"] is None  # pairs have no floor
    assert by_name["Nearest training case, CT"]["real"] == 4.0
    assert [row["name"] for row in made][:4] == ["MFID", "MFID, to infinitely many", "KID", "Precision"]
    assert len(by_name) == len(made)


def test_without_an_index_the_nearest_case_is_left_out():
    without = {key: value for key, value in figures().items() if key != "nearest"}
    assert not [row for row in rows(without, figures(pairs=False)) if row["name"].startswith("Nearest")]


def test_the_page_reads_what_is_written():
    part = {"about": {"cases": 512}, "rows": list(rows(figures(), figures(pairs=False)))}
    part["not_measured"] = list(NOT_MEASURED)
    shown = later_measures(json.loads(json.dumps({"comparison": part})))
    assert shown["comparison"].rows[0] == {"name": "MFID", "value": "10", "real": "10", "n": 512}
    assert len(shown["comparison"].not_measured) == 3
    assert shown["uncertainty"].rows == []
