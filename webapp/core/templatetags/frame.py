"""Template tags of the frame around every page."""

from typing import Any

from django import template
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from webapp.core.navigation import places_for

register = template.Library()


@register.simple_tag(takes_context=True)
def navigation(context: template.Context) -> list[dict[str, Any]]:
    """The sections of the left rail for the person who asks."""
    request = context.get("request")
    if not isinstance(request, HttpRequest) or not request.user.is_authenticated:
        return []
    return places_for(request.user, request.path)


@register.simple_tag(takes_context=True)
def rail(context: template.Context) -> str:
    """Whether the rail is "open" or "collapsed", from the cookie that its button sets."""
    request = context.get("request")
    chosen = request.COOKIES.get("rail") if isinstance(request, HttpRequest) else None
    return "collapsed" if chosen == "collapsed" else "open"


@register.simple_tag
def url_if_known(name: str) -> str:
    """The address of that name, or nothing where no installed app has it."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""


@register.simple_tag(takes_context=True)
def query(context: template.Context, **changes: Any) -> str:
    """The present query string with some values changed (None removes), for links of filters and pages."""
    request = context["request"]
    parameters = request.GET.copy()
    for name, value in changes.items():
        if value is None or value == "":
            parameters.pop(name, None)
        else:
            parameters[name] = str(value)
    encoded = parameters.urlencode()
    return f"?{encoded}" if encoded else "?"
