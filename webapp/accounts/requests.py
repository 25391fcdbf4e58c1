"""The request of somebody who is signed in, for views behind `login_required`."""

from django.http import HttpRequest

from webapp.accounts.models import User


class PersonRequest(HttpRequest):
    """Its user is a person, never the anonymous."""

    user: User
