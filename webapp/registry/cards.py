"""A model card as safe HTML, and a model's measures as rows of a table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import markdown
import nh3
from django.utils.safestring import SafeString, mark_safe

TAGS = {
    *("h2", "h3", "h4", "h5", "h6", "p", "ul", "ol", "li", "strong", "em", "code", "pre", "blockquote", "hr"),
    *("table", "thead", "tbody", "tr", "th", "td", "a", "br", "sup", "sub", "del", "dl", "dt", "dd"),
}
ATTRIBUTES = {"a": {"href", "title"}, "th": {"scope", "align"}, "td": {"align"}, "ol": {"start"}}
MEASURES_DEPTH = 6
LATER = ("comparison", "uncertainty")  # parts of measures.json, with tables of their own


def render_card(text: str) -> SafeString:
    """Markdown to HTML that can neither run nor load anything: no scripts, styles, images or frames.

    The card's first heading becomes the page's second level, since the page has its own title.
    """
    html = markdown.markdown(
        text,
        extensions=["tables", "fenced_code", "sane_lists", "toc"],
        extension_configs={"toc": {"baselevel": 2, "marker": ""}},
        output_format="html",
    )
    schemes = {"https", "http", "mailto"}
    clean = nh3.clean(
        html, tags=TAGS, attributes=ATTRIBUTES, url_schemes=schemes, link_rel="noopener noreferrer"
    )
    return mark_safe(clean.replace("<table>", '<table class="table">'))  # noqa: S308 nh3 has cleaned it


@dataclass(frozen=True)
class Measure:
    """One measured figure: where it stands in the model's measures, its value, its goal, whether reached."""

    name: str
    value: float | str
    goal: str = ""
    reached: bool | None = None


def measure_rows(measures: Mapping[str, Any]) -> list[Measure]:
    """The figures among a model's measures, in order: {"value", "goal", "reached"} or plain numbers."""
    return list(_rows({k: v for k, v in measures.items() if k not in LATER}, ()))


@dataclass(frozen=True)
class Later:
    """A part of a model's measures.json: a table's rows, and how they were measured; empty if nobody did."""

    about: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    not_measured: Sequence[str] = ()


def later_measures(measures: Mapping[str, Any]) -> dict[str, Later]:
    """What `training.card` measured, by part; a part that was not measured has no rows."""
    return {name: _later(measures.get(name)) for name in LATER}


def _later(part: Any) -> Later:
    if not isinstance(part, Mapping) or not isinstance(part.get("rows"), list):
        return Later({}, [])
    about = part.get("about")
    rows = [
        {str(key): _figure(value) if isinstance(value, float) else value for key, value in row.items()}
        for row in part["rows"]
        if isinstance(row, Mapping)
    ]
    listed = part.get("not_measured")
    missing = [str(one) for one in listed] if isinstance(listed, list) else []
    return Later(about if isinstance(about, Mapping) else {}, rows, missing)


def _rows(value: Any, path: tuple[str, ...]) -> Iterator[Measure]:
    name = " · ".join(part.replace("_", " ") for part in path)
    if isinstance(value, Mapping):
        if "value" in value and not isinstance(value["value"], Mapping):
            reached = value.get("reached")
            verdict = reached if isinstance(reached, bool) else None
            yield Measure(name, _figure(value["value"]), _goal(value.get("goal")), verdict)
        elif len(path) < MEASURES_DEPTH:
            for key, inner in value.items():
                yield from _rows(inner, (*path, str(key)))
    elif isinstance(value, int | float | str) and path:
        yield Measure(name, _figure(value))


def _figure(value: Any) -> float | str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(_figure(item)) for item in value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, int) else str(value)[:200]


def _goal(value: Any) -> str:
    return "" if value is None else str(_figure(value))
