"""A patient's examinations as pairs: the same slices on one grid, and what does not lie together says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from synthesis.imaging.plane import Plane
from synthesis.phantoms import Attributes, abdomen
from synthesis.phantoms import labels as names
from synthesis.request import Condition
from tests.unit.training.test_external import ORGANS, write_volume
from tests.unit.training.tiny_training import latent_recipe, tiny_base
from training.backbones import starting_backbone
from training.data import MaskDropout
from training.paired_sets import registered, visits, write_paired_set
from training.pairs import PairShards, pair_batch_at
from training.prepare import prepare_set
from training.recipe import load_recipe
from training.sources import Source, UnusableSource, sources_of


@pytest.fixture(scope="module")
def recipe():
    return load_recipe("abdomen-2d-edit")


@pytest.fixture(scope="module")
def healthy():
    """A CT volume of two slices through the liver."""
    return abdomen(20_900_001, shape=(2, 128, 128), attributes=Attributes(age=50.0, sex="F", lesions=1))


@pytest.fixture(scope="module")
def fatty():
    """The same person and noise with a fat liver."""
    return abdomen(
        20_900_001,
        shape=(2, 128, 128),
        attributes=Attributes(age=50.0, sex="F", lesions=1, steatosis=3),
    )


def make_set(folder: Path, *volumes, visits=("1", "2", "3"), spacing=None, diagnoses=("", "", "")) -> Path:
    """A manifest of one patient with one examination per volume."""
    (folder / "labels.json").write_text(json.dumps(ORGANS))
    lines = ["image,mask,name,patient,split,modality,visit,steatosis,diagnosis"]
    for number, one in enumerate(volumes):
        given = np.where(np.isin(one.labels, list(ORGANS)), one.labels, 0).astype(np.uint16)
        pixel = (spacing or {}).get(number, one.spacing_mm)
        write_volume(folder / f"image-{number}.nii.gz", one.image.astype(np.float32), pixel)
        write_volume(folder / f"mask-{number}.nii.gz", given, pixel)
        lines.append(
            f"image-{number}.nii.gz,mask-{number}.nii.gz,scan-{number},P1,train,CT,{visits[number]},"
            f"{one.attributes.steatosis},{diagnoses[number]}"
        )
    table = folder / "manifest.csv"
    table.write_text("\n".join(lines) + "\n")
    return table


def test_two_examinations_become_pairs_on_one_grid(tmp_path, healthy, fatty, recipe):
    table = make_set(tmp_path, fatty, healthy, visits=("10", "9"))  # 9 comes first
    out = tmp_path / "out"
    out.mkdir()
    report = write_paired_set(out, sources_of(table), recipe, split="train", shard=256)
    assert report["slices"] == 2
    assert list(report["cases"]) == ["scan-1 to scan-0"]
    shards = PairShards(out)
    assert len(shards) == 2
    before, after = (part.take(np.arange(2)) for part in (shards.before, shards.after))
    assert before[2][:, 4].tolist() == [0.0, 0.0]  # steatosis
    assert after[2][:, 4].tolist() == [3.0, 3.0]
    for index in range(2):
        liver = (before[1][index] == names.LIVER) & (after[1][index] == names.LIVER)
        away = after[0][index] - before[0][index]
        assert liver.sum() > 200
        assert float(away[liver].mean()) < -40
        assert float(np.abs(away[before[1][index] == names.SPLEEN]).max(initial=0)) < 1e-3
    assert np.array_equal(before[1] == names.SPLEEN, after[1] == names.SPLEEN)
    drawn = pair_batch_at(shards, recipe.normalisation, MaskDropout(), size=4, seed=1, step=0)
    assert bool(np.isfinite(drawn.source).all())


def test_the_command_takes_a_manifest_for_a_recipe_of_pairs(tmp_path, healthy, fatty, recipe, capsys):
    table = make_set(tmp_path, healthy, fatty)
    out = tmp_path / "out"
    out.mkdir()
    prepare_set(table, recipe, out, split="train")
    assert "scan-0 to scan-1: 2 slices" in capsys.readouterr().out
    with pytest.raises(UnusableSource, match="already holds shards"):
        prepare_set(table, recipe, out, split="train")


@pytest.mark.parametrize("moves", [0, 1, 2, 3])
def test_a_run_that_was_killed_while_it_moved_its_shards_is_gone_on_with(
    tmp_path, healthy, fatty, recipe, capsys, monkeypatch, moves
):
    table = make_set(tmp_path, healthy, fatty)
    out = tmp_path / "out"
    out.mkdir()
    whole, left = Path.rename, iter([True] * moves)

    def rename(self, target):
        if target.parent.parent == out and not next(left, False):
            raise KeyboardInterrupt
        return whole(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    monkeypatch.setattr("training.prepare.SHARD", 1)
    with pytest.raises(KeyboardInterrupt):
        prepare_set(table, recipe, out, split="train")
    monkeypatch.undo()
    assert len(list(out.glob("*/shard-*"))) == moves
    capsys.readouterr()
    prepare_set(table, recipe, out, split="train")
    said = capsys.readouterr().out
    assert "An earlier run had made these" in said
    assert "scan-0 to scan-1: 2 slices" in said
    assert len(PairShards(out)) == 2
    assert sorted(one.name for one in out.iterdir()) == ["after", "before", "report.json"]
    with pytest.raises(UnusableSource, match="already holds shards"):
        prepare_set(table, recipe, out, split="train")


def test_examinations_that_were_not_registered_are_refused(tmp_path, healthy, fatty, recipe):
    apart = tuple(1.02 * side for side in healthy.spacing_mm)
    table = make_set(tmp_path, healthy, fatty, spacing={1: apart})
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(UnusableSource, match="register them first"):
        write_paired_set(out, sources_of(table), recipe, split="train", shard=8)
    assert not (out / "before").exists()


WORDS = {"image": "CT", "style": "diverse", "diagnoses": {"C": "cirrhosis", "N": "a healthy liver"}}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A recipe of pairs for Stable Diffusion that is told patients in words."""
    base = tiny_base("stable_diffusion", tmp_path_factory.mktemp("base"))
    return latent_recipe(
        "stable_diffusion", base, objective={"name": "instruct_pix2pix"}, prompts=WORDS,
        mask_dropout={"prompt": 0.0, "attribute": 1.0},
    )  # fmt: skip


def test_a_pair_that_differs_in_its_diagnosis_alone_is_told_differently(tmp_path, healthy, told):
    table = make_set(tmp_path, healthy, healthy, diagnoses=("N", "C"))
    out = tmp_path / "out"
    out.mkdir()
    prepare_set(table, told, out, split="train")
    shards, network = PairShards(out), starting_backbone(told)
    drawn = pair_batch_at(
        shards, told.normalisation, told.mask_dropout, size=64, seed=1, step=0, network=network
    )
    said = set(drawn.words)
    wordings = len(told.prompts.templates)
    changed = {
        told.prompts.prompt(Condition(modality="CT", diagnosis=name), number)
        for name in WORDS["diagnoses"]
        for number in range(wordings)
    }
    nothing = {told.prompts.prompt(Condition(modality="CT"), number) for number in range(wordings)}
    assert said <= changed | nothing  # attribute = 1: what the pair does not change is never stated
    assert len(said & changed) > wordings  # both diagnoses, in several wordings
    as_it_was = sum(one in nothing for one in drawn.words)
    assert 0 < as_it_was < 20  # UNCHANGED of them state nothing
    assert torch.equal(drawn.condition.tokens, network.read(drawn.words).tokens)
    assert torch.isnan(drawn.condition.level).all()
    ends = [part.diagnoses(np.arange(2)) for part in (shards.before, shards.after)]
    assert ends == [["N", "N"], ["C", "C"]]
    # each way round the words are those of the image that shall be drawn
    turned = pair_batch_at(
        shards, told.normalisation, MaskDropout(attribute=0.0), size=8, seed=1, step=0, network=network
    )
    rng = np.random.default_rng((1, 0, 0))
    rng.integers(0, len(shards), 8)
    back = rng.random(8) < 0.5
    assert 0 < back.sum() < 8
    assert ["healthy" in one for one in turned.words] == back.tolist()
    assert ["cirrhosis" in one for one in turned.words] == (~back).tolist()


def test_a_pair_with_a_diagnosis_that_has_no_words_costs_only_itself(tmp_path, healthy, told):
    table = make_set(tmp_path, healthy, healthy, diagnoses=("N", "X"))
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(UnusableSource, match="“X” is none of the recipe's: C, N"):
        prepare_set(table, told, out, split="train")


def test_one_examination_is_no_pair(tmp_path, healthy, recipe):
    table = make_set(tmp_path, healthy)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(UnusableSource, match="Name each patient's visits"):
        write_paired_set(out, sources_of(table), recipe, split="train", shard=8)
    with pytest.raises(UnusableSource, match="no pair of examinations in the split test"):
        write_paired_set(out, sources_of(table), recipe, split="test", shard=8)


def scan(visit: str, patient: str = "P1", modality: str = "CT") -> Source:
    return Source(
        name=f"{patient}-{visit}",
        image=Path("i"),
        mask=Path("m"),
        labels=(),
        modality=modality,
        patient=patient,
        split="train",
        visit=visit,
    )


def test_each_visit_is_paired_with_the_next_of_its_kind():
    numbers = [scan("10"), scan("9"), scan("11"), scan("1", "P2"), scan("9", modality="T1"), scan("", "P1")]
    assert [(a.name, b.name) for a, b in visits(numbers)] == [("P1-9", "P1-10"), ("P1-10", "P1-11")]
    dates = [scan("2024-05-31"), scan("2023-12-01")]
    assert [(a.visit, b.visit) for a, b in visits(dates)] == [("2023-12-01", "2024-05-31")]


@pytest.mark.parametrize(
    ("told", "words"), [(("1", "1"), "twice"), (("1", "2024-05-31"), "all dates"), (("a", "b"), "all dates")]
)
def test_visits_without_an_order_are_refused(told, words):
    with pytest.raises(UnusableSource, match=words):
        visits([scan(one) for one in told])


def test_two_slices_are_in_one_place_or_not():
    plane = Plane(
        position_mm=(0.0, 0.0, 5.0),
        orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        spacing_mm=(2.0, 2.0),
        shape=(8, 8),
    )
    assert registered(plane, replace(plane, position_mm=(0.3, 0.0, 5.0)))
    assert not registered(plane, replace(plane, position_mm=(0.0, 0.0, 6.0)))
    assert not registered(plane, replace(plane, spacing_mm=(2.2, 2.0)))
    assert not registered(plane, replace(plane, shape=(8, 9)))
