"""Template tags for the built front end: its script and styles, its icons and the chosen theme.

Vite already puts a hash into each file name, so `{% static %}` must not hash them a second time
(a chunk that imports the entry would load it twice): the addresses come from Vite's manifest.
"""

import json
import logging
from pathlib import Path
from typing import Any

from django import template
from django.conf import settings
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

register = template.Library()
logger = logging.getLogger(__name__)

_manifests: dict[Path, tuple[int, dict[str, Any]]] = {}


def manifest() -> dict[str, Any]:
    """Vite's manifest, read again when the file changes; empty where the front end is not built.

    The collected one comes first: it names the files that the site really serves, so that a build under
    a running site changes nothing until the next start collects it.
    """
    for folder in (settings.STATIC_ROOT, settings.FRONTEND_DIST):
        if entries := _read(Path(folder) / "manifest.json"):
            return entries
    return {}


def _read(path: Path) -> dict[str, Any]:
    try:
        changed = path.stat().st_mtime_ns
    except FileNotFoundError:
        return {}
    known = _manifests.get(path)
    if known is None or known[0] != changed:
        known = (changed, json.loads(path.read_text(encoding="utf-8")))
        _manifests[path] = known
    return known[1]


def _address(file: str) -> str:
    return f"{settings.STATIC_URL}{file}"


def _styles(entry: str, entries: dict[str, Any], seen: set[str]) -> list[str]:
    """The style sheets of an entry and of every chunk that it imports at once, in order, once each."""
    if entry in seen:
        return []
    seen.add(entry)
    chunk = entries[entry]
    inherited = [css for name in chunk.get("imports", []) for css in _styles(name, entries, seen)]
    return list(dict.fromkeys([*inherited, *chunk.get("css", [])]))


@register.simple_tag
def vite_assets(entry: str) -> SafeString:
    """The `<link>` and `<script type="module">` of one entry of the front end.

    Without a build the page stays usable but plain, and says so in its source and in the log.

    Raises:
        template.TemplateSyntaxError: when the build has no such entry.
    """
    entries = manifest()
    if not entries:
        logger.warning("The front end is not built: run `make frontend`.")
        return mark_safe("<!-- The front end is not built: run `make frontend`. -->")
    if entry not in entries:
        raise template.TemplateSyntaxError(f"The front end's build has no entry {entry!r}.")
    styles = format_html_join(
        "\n",
        '<link rel="stylesheet" href="{}">',
        ((_address(css),) for css in _styles(entry, entries, set())),
    )
    script = format_html('<script type="module" src="{}"></script>', _address(entries[entry]["file"]))
    return format_html("{}\n{}", styles, script)


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """One lucide icon from the sprite; decorative unless it is given a label.

    The names are those of `frontend/icons.json`.
    """
    sprite = manifest().get("icons.svg")
    if sprite is None:
        return format_html('<span class="icon">{}</span>', label)
    voice = format_html('role="img" aria-label="{}"', label) if label else mark_safe('aria-hidden="true"')
    return format_html(
        '<svg class="icon" {} width="20" height="20" focusable="false"><use href="{}#{}"></use></svg>',
        voice,
        _address(sprite["file"]),
        name,
    )


@register.simple_tag
def icon_sprite() -> str:
    """The address of the icon sprite, for scripts that draw icons themselves."""
    sprite = manifest().get("icons.svg")
    return _address(sprite["file"]) if sprite else ""


@register.simple_tag(takes_context=True)
def theme(context: template.Context) -> str:
    """The person's chosen theme, "dark" or "light", from the cookie that the toggle sets."""
    request = context.get("request")
    chosen = request.COOKIES.get("theme") if isinstance(request, HttpRequest) else None
    return "light" if chosen == "light" else "dark"
