"""How every figure of a reader study is drawn: one palette, two themes, plain SVG with words beside it.

Figures are drawn by matplotlib without its global state, once, in the light palette; the dark theme is the
same drawing with each colour exchanged. What comes out carries no style element and no style attribute, so
that the site's policy leaves it whole where it is opened on its own.
"""

from __future__ import annotations

import io
import re
import textwrap
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

matplotlib.rcParams["svg.fonttype"] = "none"  # words stay words: searchable, and in the reader's own font
matplotlib.rcParams["svg.hashsalt"] = "semblance"  # the same figure is the same text

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
FONT = "system-ui, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif"
UNITS_PER_INCH = 72
WIDTH = 720
NOTE_UNITS_PER_LETTER = 6.3  # about what a letter of the note takes, whatever sans serif the reader has
THEMES = ("light", "dark")

_drawing = threading.Lock()  # matplotlib's font and number caches are shared by the site's threads


@dataclass(frozen=True)
class Ink:
    """A colour on white and on near-black; each light colour is used for one thing alone."""

    light: str
    dark: str


TEXT = Ink("#29313a", "#cfd5dc")
MUTED = Ink("#56616c", "#99a3ae")
LINE = Ink("#d3d9de", "#2e343c")
EDGE = Ink("#7b8690", "#69737f")
BLUE = Ink("#0072b2", "#56b4e9")
ORANGE = Ink("#c25400", "#e69f00")
GREEN = Ink("#00795a", "#2fc79a")
PURPLE = Ink("#8f3f77", "#d690bd")
BAND = Ink("#dcebf3", "#16303d")
GROUND = Ink("#fefefe", "#0c0e11")
"""The colours keep apart for every kind of colour blindness (Okabe and Ito 2008), and differ in lightness;
marker, dash or hatch says the same once more."""

INKS = (TEXT, MUTED, LINE, EDGE, BLUE, ORANGE, GREEN, PURPLE, BAND, GROUND)
SERIES = (BLUE, ORANGE, GREEN, PURPLE)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES: tuple[str | tuple[int, tuple[int, ...]], ...] = ("-", (0, (5, 2)), (0, (1, 1)), (0, (6, 2, 1, 2)))


@dataclass(frozen=True)
class Drawn:
    """One figure ready to be shown: its SVG in the light palette, and what it says in words."""

    svg: str
    title: str
    words: str

    def themed(self, theme: str) -> str:
        """The SVG in one of `THEMES`. Raises ValueError for another."""
        if theme not in THEMES:
            raise ValueError(f"expected a theme of {THEMES}; got {theme!r}")
        if theme == "light":
            return self.svg
        dark = {ink.light: ink.dark for ink in INKS}
        return re.sub(r"#[0-9a-f]{6}", lambda found: dark.get(found.group(), found.group()), self.svg)


def canvas(height: int, *, width: int = WIDTH, panels: int = 1) -> tuple[Figure, list[Axes]]:
    """An empty figure of so many pixels with its axes side by side, in the house's style."""
    layout = ConstrainedLayoutEngine(wspace=0.05)
    figure = Figure(figsize=(width / UNITS_PER_INCH, height / UNITS_PER_INCH), layout=layout)
    figure.patch.set_visible(False)
    axes = [figure.add_subplot(1, panels, number + 1) for number in range(panels)]
    for one in axes:
        dress(one)
    return figure, axes


def dress(axes: Axes) -> None:
    """Quiet edges, the palette's words, no box."""
    axes.patch.set_visible(False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(EDGE.light)
    axes.tick_params(colors=EDGE.light, labelcolor=TEXT.light, labelsize=12)
    axes.xaxis.label.set(color=TEXT.light, size=12)
    axes.yaxis.label.set(color=TEXT.light, size=12)


def legend(axes: Axes, **options: Any) -> None:
    """The legend in the house's style, where there is something to tell apart."""
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        made = axes.legend(handles, labels, frameon=False, fontsize=12, **options)
        for text in made.get_texts():
            text.set_color(TEXT.light)


def as_percent(axes: Axes, side: str, values: Sequence[float]) -> None:
    """Ticks at these shares, written as per cent."""
    axis = axes.xaxis if side == "x" else axes.yaxis
    axis.set_ticks(list(values), [f"{100 * value:.0f}%" for value in values])


def finished(figure: Figure, *, title: str, words: str, note: str = "") -> Drawn:
    """The figure as SVG: `title` and `words` are its text alternative, `note` is printed below it."""
    if note:
        room = int(figure.get_figwidth() * UNITS_PER_INCH / NOTE_UNITS_PER_LETTER)
        lines = textwrap.fill(note, room)
        figure.supxlabel(lines, fontsize=10, color=MUTED.light, x=0.01, ha="left")
    with _drawing:
        written = io.StringIO()
        FigureCanvasSVG(figure).print_svg(
            written, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    return Drawn(_plain(written.getvalue(), title, words), title, words)


# --- from matplotlib's SVG to one that needs no style sheet


def _plain(text: str, title: str, words: str) -> str:
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(text)  # noqa: S314  (matplotlib wrote it a moment ago)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}style", f"{{{SVG}}}metadata"):
                parent.remove(child)
    for element in root.iter():
        for name, value in _declarations(element.attrib.pop("style", "")):
            element.set(name, value)
    for name in ("width", "height"):
        root.set(name, root.get(name, "").removesuffix("pt"))
    root.set("role", "img")
    root.set("stroke-linejoin", "round")
    for place, (tag, said) in enumerate((("title", title), ("desc", words))):
        element = ElementTree.Element(f"{{{SVG}}}{tag}")
        element.text = said
        element.tail = "\n"
        root.insert(place, element)
    return ElementTree.tostring(root, encoding="unicode")


def _declarations(style: str) -> list[tuple[str, str]]:
    """The declarations of a style attribute as presentation attributes."""
    pairs = (part.split(":", 1) for part in style.split(";") if ":" in part)
    return [(name.strip(), FONT if name.strip() == "font-family" else value.strip()) for name, value in pairs]
