"""The template tags that read the front end's manifest."""

import json
import os
import shutil

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.template import Context, Template, TemplateSyntaxError
from django.test import Client, RequestFactory

MANIFEST = {
    "src/main.ts": {"file": "assets/main-1.js", "css": ["assets/main-1.css"], "imports": ["_shared.js"]},
    "_shared.js": {"file": "assets/shared-2.js", "css": ["assets/shared-2.css"], "imports": ["_shared.js"]},
    "icons.svg": {"file": "assets/icons-3.svg"},
}


@pytest.fixture
def dist(tmp_path, settings):
    folder = tmp_path / "dist"
    folder.mkdir()
    settings.FRONTEND_DIST = folder
    settings.STATIC_ROOT = tmp_path / "static"
    settings.STATIC_URL = "/static/"
    return folder


@pytest.fixture
def built(dist):
    (dist / "manifest.json").write_text(json.dumps(MANIFEST))
    return dist


def render(source, **context):
    return Template("{% load vite %}" + source).render(Context(context))


def test_an_entry_brings_its_styles_and_those_of_what_it_imports_once_each(built):
    assert render('{% vite_assets "src/main.ts" %}').splitlines() == [
        '<link rel="stylesheet" href="/static/assets/shared-2.css">',
        '<link rel="stylesheet" href="/static/assets/main-1.css">',
        '<script type="module" src="/static/assets/main-1.js"></script>',
    ]


def test_an_unknown_entry_is_a_mistake_in_the_template(built):
    with pytest.raises(TemplateSyntaxError, match=r"no entry 'src/other\.ts'"):
        render('{% vite_assets "src/other.ts" %}')


def test_without_a_build_the_page_is_plain_and_says_why(dist):
    assert "make frontend" in render('{% vite_assets "src/main.ts" %}')
    assert render('{% icon "eye" "Show" %}') == '<span class="icon">Show</span>'
    assert render("{% icon_sprite %}") == ""


def test_a_new_build_is_noticed(built):
    before = render("{% icon_sprite %}")
    changed = MANIFEST | {"icons.svg": {"file": "assets/icons-4.svg"}}
    (built / "manifest.json").write_text(json.dumps(changed))
    os.utime(built / "manifest.json", ns=(1, 1))
    assert (before, render("{% icon_sprite %}")) == (
        "/static/assets/icons-3.svg",
        "/static/assets/icons-4.svg",
    )


def test_a_build_under_a_running_site_leaves_its_pages_whole(dist, settings):
    """The pages go on naming what was collected and is served, whatever the next build is called."""
    settings.STATICFILES_DIRS = [dist]
    finders.get_finder.cache_clear()
    _build(dist, "11111111")
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    site = Client()
    assert _served(site, render("{% icon_sprite %}")) == "<!-- 11111111 -->"
    shutil.rmtree(dist)
    dist.mkdir()
    _build(dist, "22222222")
    assert _served(site, render("{% icon_sprite %}")) == "<!-- 11111111 -->"
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    assert _served(Client(), render("{% icon_sprite %}")) == "<!-- 22222222 -->"
    finders.get_finder.cache_clear()


def _build(dist, name):
    (dist / f"icons-{name}.svg").write_text(f"<!-- {name} -->")
    (dist / "manifest.json").write_text(json.dumps({"icons.svg": {"file": f"icons-{name}.svg"}}))


def _served(site, address):
    answer = site.get(address)
    assert answer.status_code == 200, address
    return b"".join(answer.streaming_content).decode()


def test_an_icon_is_silent_unless_it_has_a_label(built):
    assert 'aria-hidden="true"' in render('{% icon "eye" %}')
    spoken = render("{% icon 'eye' label %}", label='"><script>')
    assert 'role="img"' in spoken
    assert "<script>" not in spoken
    assert 'href="/static/assets/icons-3.svg#eye"' in spoken


@pytest.mark.parametrize(("cookie", "theme"), [(None, "dark"), ("light", "light"), ('"><b>', "dark")])
def test_the_theme_is_dark_unless_light_was_chosen(cookie, theme):
    request = RequestFactory().get("/")
    if cookie:
        request.COOKIES["theme"] = cookie
    assert render("{% theme %}", request=request) == theme
