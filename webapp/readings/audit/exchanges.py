"""Everything a browser receives for one item, but the image, as one flat table: name -> value."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from html.parser import HTMLParser
from statistics import median
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from webapp.readings.audit.observation import Exchange, Observation

NUMBERED = 4  # exchanges of one kind that are looked at one by one
LISTED = 16  # entries of a list of plain values that are looked at one by one
CLOCK_HEADERS = {"date"}  # the moment of the answer, not of the item
_WORD = re.compile(r"[^\W\d_]{2,24}")
_LONE_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
_CLASSES = ((re.compile(r"[0-9]+"), "9"), (re.compile(r"[a-z]+"), "a"), (re.compile(r"[A-Z]+"), "A"))


def received(observation: Observation) -> dict[str, Any]:
    """The item's table: statuses, sizes, times, headers and their order, addresses, every JSON path."""
    table: dict[str, Any] = {
        "position in the order": observation.position,
        "number of answers": len(observation.exchanges),
        "kinds of answers in order": " ".join(exchange.kind for exchange in observation.exchanges),
    }
    by_kind: dict[str, list[Exchange]] = defaultdict(list)
    for exchange in observation.exchanges:
        by_kind[exchange.kind].append(exchange)
    for kind, exchanges in by_kind.items():
        table[f"{kind}: number of answers"] = len(exchanges)
        table[f"{kind}: bytes in all"] = sum(exchange.length for exchange in exchanges)
        table |= _times(kind, exchanges)
        for number, exchange in enumerate(exchanges[:NUMBERED], start=1):
            name = kind if len(exchanges) == 1 else f"{kind} {number}"
            table |= {f"{name}: {key}": value for key, value in _exchange(exchange)}
    for path, value in flat(observation.extras):
        table[f"also shown: {path}"] = value
    return table


def _exchange(exchange: Exchange) -> Iterator[tuple[str, Any]]:
    yield "method", exchange.method
    yield "status", exchange.status
    yield "bytes", exchange.length
    yield "headers in order", ", ".join(name for name, _ in exchange.headers)
    sent: dict[str, list[str]] = defaultdict(list)
    for name, value in exchange.headers:
        sent[name.lower()].append(value)
    for name, values in sent.items():
        if name not in CLOCK_HEADERS:
            yield f"header {name}", "; ".join(values)
    yield from _address(exchange.url)
    if isinstance(exchange.body, str):
        yield from page(exchange.body)
    elif exchange.body is not None:
        for path, value in flat(exchange.body):
            yield f"body {path}", value


def _times(kind: str, exchanges: Sequence[Exchange]) -> dict[str, Any]:
    cold = [exchange.seconds[0] for exchange in exchanges if exchange.seconds]
    warm = [second for exchange in exchanges for second in exchange.seconds[1:]]
    found: dict[str, Any] = {}
    if cold:
        found[f"{kind}: time of the first visit"] = sum(cold) / len(cold)
    if warm:
        found[f"{kind}: usual time"] = median(warm)
        found[f"{kind}: shortest time"] = min(warm)
        found[f"{kind}: first visit against later ones"] = (sum(cold) / len(cold)) / max(median(warm), 1e-9)
    return found


def _address(url: str) -> Iterator[tuple[str, Any]]:
    parts = urlsplit(url)
    segments = [segment for segment in parts.path.split("/") if segment]
    yield "address: length", len(url)
    yield "address: host", parts.netloc
    yield "address: parts", len(segments)
    yield "address: shape", "/".join(shape(segment) for segment in segments)
    for number, segment in enumerate(segments, start=1):
        yield f"address: part {number}", segment
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        yield f"address: {name}=", value


def shape(text: str) -> str:
    """The kind of name: runs of digits as 9, of small letters as a, of capitals as A; random hex as #."""
    if len(text) >= 16 and re.fullmatch(r"[0-9a-fA-F-]+", text):
        return f"#{len(text)}"
    for pattern, mark in _CLASSES:
        text = pattern.sub(mark, text)
    return text


# --- JSON


def flat(body: Any) -> Iterator[tuple[str, Any]]:
    """Each path of a JSON value and what stands there; long lists as their count, ends and variety."""
    starred: dict[str, list[Any]] = defaultdict(list)
    for path, value in _walk(body, ""):
        if "[*]" in path:
            starred[path].append(value)
        else:
            yield path or "(whole)", value
    for path, values in starred.items():
        yield f"{path} (count)", len(values)
        yield f"{path} (different)", len({repr(value) for value in values})
        yield f"{path} (first)", values[0]
        yield f"{path} (last)", values[-1]
        numbers = [value for value in values if isinstance(value, int | float)]
        if len(numbers) == len(values) and len(numbers) > 1:
            yield f"{path} (mean)", sum(numbers) / len(numbers)
            yield f"{path} (step)", (numbers[-1] - numbers[0]) / (len(numbers) - 1)


def _walk(body: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(body, Mapping):
        yield f"{path} keys", " ".join(str(key) for key in body)
        for key, value in body.items():
            yield from _walk(value, f"{path}.{key}" if path else str(key))
    elif isinstance(body, list | tuple):
        yield f"{path} length", len(body)
        plain = not any(isinstance(value, Mapping | list | tuple) for value in body)
        one_by_one = len(body) <= (LISTED if plain else 1)
        for index, value in enumerate(body):
            yield from _walk(value, f"{path}[{index if one_by_one else '*'}]")
    else:
        yield path, "null" if body is None else body


# --- pages


class _Page(HTMLParser):
    """Collects a page's words, the numbers in its text, and every attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(f"{tag}[{name}]", value or "") for name, value in attrs]

    def handle_comment(self, data: str) -> None:
        self.text.append(data)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def page(text: str) -> Iterator[tuple[str, Any]]:
    """A page's words with their counts, its numbers in order, its attributes in order."""
    reader = _Page()
    reader.feed(text)
    seen = " ".join(reader.text)
    words = Counter(word.lower() for word in _WORD.findall(seen))
    yield "page: number of words", sum(words.values())
    for word, count in words.items():
        yield f'page: word "{word}"', count
    for number, value in enumerate(_LONE_NUMBER.findall(seen)[: 4 * LISTED], start=1):
        yield f"page: number {number}", float(value)
    met: Counter[str] = Counter()
    for name, value in reader.attributes:
        met[name] += 1
        yield f"page: {name} {met[name]}", value
