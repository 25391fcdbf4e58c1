"""What the schema says of signing in, and of the errors that every operation may answer with."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class ApiTokenScheme(OpenApiAuthenticationExtension):
    """`Authorization: Bearer TOKEN`, with a token from one's profile or `manage.py create_api_token`."""

    target_class = "webapp.accounts.authentication.ApiTokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """The definition in the schema's components."""
        return {"type": "http", "scheme": "bearer", "description": "A token made in your profile."}


PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
EVERYWHERE = {
    "401": "No token, or not a good one.",
    "404": "It does not exist, or it is not shared with you.",
}


def add_common_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Say of every operation how it answers without a token and for what is not visible."""
    for methods in result["paths"].values():
        for operation in methods.values():
            for status, description in EVERYWHERE.items():
                operation["responses"].setdefault(status, {"content": PROBLEM, "description": description})
    return result
