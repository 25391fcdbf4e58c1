"""The template tags that read the front end's manifest."""

import json
import os

import pytest
from django.template import Context, Template, TemplateSyntaxError
from django.test import RequestFactory

MANIFEST = {
    "src/main.ts": {"file": "assets/main-1.js", "css": ["assets/main-1.css"], "imports": ["_shared.js"]},
    "_shared.js": {"file": "assets/shared-2.js", "css": ["assets/shared-2.css"], "imports": ["_shared.js"]},
    "icons.svg": {"file": "assets/icons-3.svg"},
}


@pytest.fixture
def dist(tmp_path, settings):
    settings.FRONTEND_DIST = tmp_path
    settings.STATIC_URL = "/static/"
    return tmp_path


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
