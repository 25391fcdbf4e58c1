"""The whole story on a tiny network: same request, same pixels; the batch does not matter."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import synthesis
from synthesis.backbones.unet import UNet
from synthesis.catalog import SAMPLERS
from synthesis.checkpoints import LoadedModel, learned_grid
from synthesis.errors import Cancelled, SynthesisError
from synthesis.generate import generate
from synthesis.imaging.storage import from_stored, pixel_sha256, to_stored
from synthesis.options import options_of
from synthesis.phantoms import labels as L
from synthesis.reporting import preview
from synthesis.reproduction import differences
from synthesis.request import Condition, SamplerOptions, SynthesisRequest
from tests.unit.synthesis.tiny_model import SIDE, tiny_model


def small_labels():
    labels = np.zeros((SIDE, SIDE), np.uint8)
    labels[4:28, 4:28] = L.FAT
    labels[8:24, 8:24] = L.LIVER
    return labels


def request(count=3, seed=5, modality="CT", labels=None, **sampler):
    return SynthesisRequest(
        labels=small_labels() if labels is None else labels,
        spacing_mm=(3.0, 3.0),
        condition=Condition(modality=modality, severity="severe", age=60.0, sex="F"),
        sampler=SamplerOptions(**sampler),
        seed=seed,
        count=count,
    )


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_same_request_gives_the_same_pixels(model, name):
    wanted = request(name=name, steps=SAMPLERS[name].steps or 4)
    first, second = (generate(model, wanted) for _ in range(2))
    assert first.pixel_sha256 == second.pixel_sha256
    assert np.array_equal(first.images, second.images)
    assert len(set(first.pixel_sha256)) == 3
    assert first.recipe == second.recipe


def learned(temperature):
    """A tiny model that claims to have learned long steps."""
    plain = tiny_model()
    torch.manual_seed(0)
    network = UNet(replace(plain.network.options, spans=True)).requires_grad_(False)
    for weight in network.parameters():
        weight.copy_(torch.randn_like(weight) * 0.15)
    recipe = plain.recipe | {
        "shortcut": {"segments": 8, "shift": 0.35},
        "calibration": {"temperature": {"CT": {"2": temperature}}},
    }
    return LoadedModel(network.eval(), recipe, "0" * 64, plain.normalisation)


def test_learned_steps_use_the_grid_and_the_temperature_of_the_model():
    wanted = request(name="shortcut", steps=2, count=1)
    cool, warm = (generate(learned(t), wanted) for t in (0.8, 1.0))
    assert cool.recipe["sampler"]["times"] == learned_grid(2, segments=8, shift=0.35)
    assert cool.recipe["sampler"]["temperature"] == 0.8
    assert cool.pixel_sha256 != warm.pixel_sha256
    guided = generate(learned(1.0), request(name="shortcut", steps=2, count=1, guidance=2.0))
    assert guided.pixel_sha256 != warm.pixel_sha256
    with pytest.raises(SynthesisError, match="1 to 8 steps, not in 9"):
        generate(learned(1.0), request(name="shortcut", steps=9))


@pytest.mark.parametrize("name", ["euler", "rft"])
@pytest.mark.parametrize("batch", [2, 3])
def test_the_batch_does_not_change_an_images_noise(model, name, batch):
    """The arithmetic may round differently in a batch, but one stored integer is all it may move."""
    alone, together = (generate(model, request(name=name), batch=b) for b in (1, batch))
    assert np.abs(alone.images - together.images).max() <= 1
    assert together.recipe["numerics"]["batch"] == batch


def test_one_image_is_made_again_from_its_own_seed(model):
    many = generate(model, request(count=3))
    last = generate(model, request(count=1, seed=many.seeds[2]))
    assert last.pixel_sha256[0] == many.pixel_sha256[2]


def test_the_surroundings_do_not_disturb_the_noise(model):
    torch.manual_seed(1)
    first = generate(model, request(count=1))
    torch.manual_seed(2)
    torch.randn(10)
    assert generate(model, request(count=1)).pixel_sha256 == first.pixel_sha256


@pytest.mark.parametrize(
    "changed",
    [
        request(count=1, seed=6),
        request(count=1, steps=5),
        request(count=1, kappa=0.4),
        request(count=1, order=1),
        request(count=1, noise=False),
        request(count=1, guidance=2.0),
        request(count=1, name="heun"),
        request(count=1, labels=np.full((SIDE, SIDE), L.LIVER, np.uint8)),
    ],
)
def test_every_setting_matters(model, changed):
    assert generate(model, changed).pixel_sha256 != generate(model, request(count=1)).pixel_sha256


@pytest.mark.parametrize("field", [{"severity": "none"}, {"age": 20.0}, {"sex": "M"}, {"steatosis": 3}])
def test_every_condition_matters(model, field):
    before = request(count=1)
    after = SynthesisRequest(
        labels=before.labels,
        spacing_mm=before.spacing_mm,
        condition=Condition(**{**before.condition.to_json(), **field}),
        sampler=before.sampler,
        seed=before.seed,
    )
    assert generate(model, after).pixel_sha256 != generate(model, before).pixel_sha256


@pytest.mark.parametrize("modality", ["CT", "T1", "T2"])
def test_images_are_stored_integers_in_real_units(model, modality):
    result = generate(model, request(count=2, modality=modality))
    assert result.images.dtype == np.float32
    assert result.images.shape == (2, SIDE, SIDE)
    stored = to_stored(result.images[0], modality)
    assert np.array_equal(from_stored(stored), result.images[0])
    assert pixel_sha256(stored) == result.pixel_sha256[0]
    low, high = (-1024, 3071) if modality == "CT" else (0, 32767)
    assert result.images.min() >= low
    assert result.images.max() <= high
    assert result.recipe["unit"] == ("HU" if modality == "CT" else "signal")


def test_the_recipe_says_everything_and_is_json(model):
    made = request(count=2)
    recipe = json.loads(json.dumps(generate(model, made).recipe))
    assert recipe["sampler"]["kappa"] == 0.1
    assert recipe["sampler"]["times"] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert recipe["labels_sha256"] == hashlib.sha256(made.labels.tobytes()).hexdigest()
    assert recipe["model"]["weights_sha256"] == model.weights_sha256
    assert recipe["versions"]["semblance"] == synthesis.__version__
    assert recipe["versions"]["torch"] == torch.__version__
    assert recipe["numerics"]["device"] == "cpu"
    assert recipe["numerics"]["dtype"] == "float32"
    assert recipe["numerics"]["threads"] == torch.get_num_threads()


@pytest.mark.parametrize(
    ("wanted", "used"),
    [
        ({"name": "ddim"}, {"eta": 0.0}),
        ({"name": "ddim", "eta": 0.7}, {"eta": 0.7}),
        ({"name": "victr_literal", "weight": "sqrt_alpha"}, {"weight": "sqrt_alpha", "strength": 1.0}),
        ({"name": "heun", "euler_last": False}, {"euler_last": False}),
        ({"name": "rft"}, {"heun": False, "order": 2, "noise": True}),
    ],
)
def test_the_recipe_holds_the_options_that_were_used(model, wanted, used):
    sampler = generate(model, request(count=1, **wanted)).recipe["sampler"]
    assert {name: sampler[name] for name in used} == used
    assert set(sampler) == {"name", "steps", "times", "guidance", "kappa", "order", "noise"} | set(used)


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("ddim", {"eta": 1.0}),
        ("victr_literal", {"weight": "variance_preserving"}),
        ("victr_literal", {"strength": 0.5}),
        ("heun", {"euler_last": False}),
        ("rft", {"heun": True}),
        ("dpmpp", {"order": 3}),
        ("shortcut", {"temperature": 0.5}),
    ],
)
def test_every_option_matters_and_its_default_is_what_was_there_before(model, name, option):
    drawing = learned(1.0) if name == "shortcut" else model
    plain = generate(drawing, request(count=1, steps=6, name=name)).pixel_sha256
    asked = next(iter(option))
    default = next(one.default for one in options_of(name) if one.name == asked)
    same = request(count=1, steps=6, name=name, **{asked: default})
    assert generate(drawing, same).pixel_sha256 == plain
    assert generate(drawing, request(count=1, steps=6, name=name, **option)).pixel_sha256 != plain


def test_a_severity_between_two_grades_lies_between_their_pictures(model):
    def at(**severity):
        wanted = request(count=1)
        condition = Condition(**{**wanted.condition.to_json(), "severity": "none", **severity})
        return generate(model, replace(wanted, condition=condition))

    low, mild = at(severity="low"), at(severity="mild")
    assert at(severity_level=2.0).pixel_sha256 == mild.pixel_sha256
    between = at(severity_level=1.25)
    assert between.pixel_sha256 not in (low.pixel_sha256, mild.pixel_sha256)
    assert between.recipe["condition"]["severity_level"] == 1.25
    apart = [float(np.abs(between.images - one.images).mean()) for one in (low, mild)]
    assert apart[0] < apart[1]


def test_what_differs_is_said_in_words(model):
    before = generate(model, request(count=1)).recipe
    assert differences(before, before) == []
    now = {**before, "numerics": {**before["numerics"], "threads": 99}}
    assert differences(before, now) == [f"number of threads: {torch.get_num_threads()} then, 99 now"]


def test_progress_names_image_and_step_and_carries_a_picture(model):
    seen = []
    generate(model, request(count=2, steps=3), on_step=seen.append)
    assert [(s.image, s.images, s.step, s.steps) for s in seen] == [
        (i, 2, k, 3) for i in (1, 2) for k in (1, 2, 3)
    ]
    assert all(s.preview.dtype == np.uint8 and s.preview.shape == (SIDE, SIDE) for s in seen)


def test_watching_does_not_change_the_pixels(model):
    watched = generate(model, request(count=1), on_step=lambda step: None)
    assert watched.pixel_sha256 == generate(model, request(count=1)).pixel_sha256


def test_cancelling_stops_within_the_step(model):
    seen = []

    def cancel(step):
        seen.append((step.image, step.step))
        if (step.image, step.step) == (2, 1):
            raise Cancelled("by its owner")

    with pytest.raises(Cancelled):
        generate(model, request(count=3, steps=4), on_step=cancel)
    assert seen == [(1, 1), (1, 2), (1, 3), (1, 4), (2, 1)]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (request(labels=np.zeros((16, 16), np.uint8)), "16 x 16"),
        (request(name="magic"), "magic"),
        (request(modality="PET"), "PET"),
        (request(name="one_step", steps=4), "takes 1 step, not 4"),
    ],
)
def test_what_the_model_cannot_do_is_said_in_words(model, changed, words):
    with pytest.raises(SynthesisError, match=words):
        generate(model, changed)


def test_the_preview_is_windowed_and_small(model):
    image = np.full((256, 256), -200.0, np.float32)
    image[:, 128:] = 300.0
    picture = preview(image, model.recipe, "CT")
    assert picture.shape == (128, 128)
    assert picture[0, 0] == 0
    assert picture[0, -1] == 255


def test_a_judge_is_asked_about_each_image(model):
    class Truthful:
        name = "truthful"

        def segment(self, image, modality):
            return small_labels()

    result = generate(model, request(count=2), judge=Truthful())
    assert [q["judge"]["mean"] for q in result.quality] == [1.0, 1.0]
