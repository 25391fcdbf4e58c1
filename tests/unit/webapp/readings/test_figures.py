"""Every figure of the shelf: safe SVG in two themes, words beside it, and the numbers that it shows."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from webapp.readings.figures import FIGURES, equivalence, roc
from webapp.readings.figures.drawing import INKS, THEMES, finished
from webapp.readings.statistics.data import Role, ratings_of
from webapp.readings.statistics.report import analyse

SVG = "{http://www.w3.org/2000/svg}"


def answers(readers=3, items=24, seed=1):
    """Answers of readers with d' = 1 to half synthetic items, with controls and repeats."""
    generator = np.random.default_rng(seed)
    rows = []
    for reader in range(readers):
        for item in range(items):
            synthetic = bool(item % 2)
            role = Role.MAIN
            if item < 4:
                role = Role.POSITIVE_CONTROL if synthetic else Role.NEGATIVE_CONTROL
            for repeat in (False, True) if item >= items - 4 else (False,):
                latent = (0.5 if synthetic else -0.5) + generator.normal()
                rows.append(
                    {
                        "reader": f"Reader {reader + 1}",
                        "item": f"Item {item + 1}",
                        "case": f"Case {item + 1}",
                        "is_synthetic": synthetic,
                        "decision": bool(latent > 0),
                        "score": float(np.digitize(latent, [-1.0, -0.3, 0.3, 1.0]) + 1),
                        "seconds": float(generator.lognormal(2, 0.3)),
                        "position": item + 1,
                        "repeat": repeat,
                        "role": int(role),
                    }
                )
    return rows


def document_of(rows, **options):
    """A document as the report makes it, as far as the figures read it."""
    return {
        "analysis": analyse(ratings_of(rows), margin=0.1, **options),
        "confidence": {
            "labels": ["Definitely real", "Cannot tell", "Definitely <synthetic> & sure"],
            "real": [5, 3, 2],
            "synthetic": [1, 3, 6],
        },
        "times": [
            {
                "reader": "Reader 1",
                "real": {"low": 4.0, "middle": 6.0, "high": 9.0, "n": 10},
                "synthetic": None,
            }
        ],
        "severity": [{"question": "How severe?", "labels": ["None", "Severe"], "counts": [[4, 1], [0, 5]]}],
        "simulated": "",
    }


@pytest.fixture(scope="module")
def document():
    return document_of(answers())


def drawn(document, name):
    entry = FIGURES[name]
    module = entry.load()
    return finished(
        module.draw(document), title=str(entry.label), words=module.say(document), note="a <note>"
    )


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("theme", THEMES)
def test_it_is_plain_svg_with_words(document, name, theme):
    text = drawn(document, name).themed(theme)
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    assert root.find(f"{SVG}title").text == str(FIGURES[name].label)
    assert root.find(f"{SVG}desc") is not None
    assert "a <note>" in {(element.text or "").strip() for element in root.iter(f"{SVG}text")}
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert not tags & {"style", "script", "foreignObject", "image", "metadata"}
    for element in root.iter():
        assert "style" not in element.attrib
        assert not [attribute for attribute in element.attrib if attribute.startswith("on")]
        link = element.get("{http://www.w3.org/1999/xlink}href", "#")
        assert link.startswith("#")


@pytest.mark.parametrize("name", FIGURES)
def test_every_colour_has_a_dark_twin(document, name):
    figure = drawn(document, name)
    light, dark = ({ink.light for ink in INKS}, {ink.dark for ink in INKS})
    assert set(re.findall(r"#[0-9a-f]{6}", figure.themed("light"))) <= light
    assert set(re.findall(r"#[0-9a-f]{6}", figure.themed("dark"))) <= dark
    with pytest.raises(ValueError, match="theme"):
        figure.themed("sepia")


def luminance(colour):
    """Relative luminance (WCAG 2.2)."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_marks_and_words_stand_out_from_both_grounds():
    from webapp.readings.figures.drawing import BLUE, GREEN, MUTED, ORANGE, PURPLE, TEXT

    for ink in (TEXT, MUTED):
        assert contrast(ink.light, "#ffffff") >= 4.5
        assert contrast(ink.dark, "#13161a") >= 4.5
    for ink in (BLUE, ORANGE, GREEN, PURPLE):
        assert contrast(ink.light, "#ffffff") >= 3
        assert contrast(ink.dark, "#13161a") >= 3


@pytest.mark.parametrize("name", FIGURES)
def test_every_row_has_a_cell_per_column_and_every_figure_a_sentence(document, name):
    module = FIGURES[name].load()
    sheet = module.sheet(document)
    assert sheet.rows
    assert all(len(row) == len(sheet.columns) for row in sheet.rows)
    assert sheet.shown()
    if name != "severity":
        assert module.say(document)


def test_the_same_numbers_give_the_same_svg(document):
    assert drawn(document, "accuracy").svg == drawn(document, "accuracy").svg


@pytest.mark.parametrize("name", FIGURES)
def test_a_study_without_answers_has_no_figure_and_breaks_nothing(name):
    empty = document_of([]) | {
        "confidence": {"labels": ["a"], "real": [0], "synthetic": [0]},
        "times": [],
        "severity": [],
    }
    module = FIGURES[name].load()
    assert module.draw(empty) is None
    module.sheet(empty)
    module.say(empty)


def test_one_reader_is_enough():
    document = document_of(answers(readers=1))
    for name in FIGURES:
        FIGURES[name].load().draw(document)


def test_the_average_curve_is_the_mean_hit_rate_at_each_false_alarm_rate():
    average = roc._average(
        [roc.Curve("a", [0.0, 0.0, 1.0], [0.0, 0.6, 1.0]), roc.Curve("b", [0.0, 1.0], [0.0, 1.0])]
    )
    at = dict(zip(average.x, average.y))
    assert average.y[0] == 0.0
    assert at[0.5] == pytest.approx((0.8 + 0.5) / 2)
    assert at[1.0] == pytest.approx(1.0)


@pytest.mark.parametrize("measure", ["accuracy", "auc"])
def test_the_equivalence_figure_shows_the_preregistered_test(measure):
    document = document_of(answers(), measure=measure)
    test = equivalence.preregistered(document)
    assert test["preregistered"]
    assert test["measure"] in {measure, f"balanced {measure}"}
    rows = equivalence.sheet(document).rows
    assert [row[1] for row in rows].count("yes") == 1
    shown = drawn(document, "equivalence").svg
    value = f"{test['estimate']:.3f}" if measure == "auc" else f"{100 * test['estimate']:.1f}%"
    assert value in shown
