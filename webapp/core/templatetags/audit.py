"""Template filters for the audit trail."""

from django import template

from webapp.core import words

register = template.Library()
register.filter("action_words", words.action_words)
register.filter("kind_words", words.kind_words)
register.filter("detail_words", words.detail_words)
register.filter("actor_words", words.actor_words)
