"""What the schema says of signing in."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class ApiTokenScheme(OpenApiAuthenticationExtension):
    """`Authorization: Bearer TOKEN`, with a token from one's profile or `manage.py create_api_token`."""

    target_class = "webapp.accounts.authentication.ApiTokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """The definition in the schema's components."""
        return {"type": "http", "scheme": "bearer", "description": "A token made in your profile."}
