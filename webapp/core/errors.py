"""Errors whose message is a plain sentence for the person at the screen."""


class ApplicationError(Exception):
    """The request cannot be done as asked; the message says what happened and what to do.

    Args:
        message: one or two plain sentences.
        field: the form field that it concerns, if one does.
        code: a short stable word for programs (``problem+json`` carries it).
    """

    status = 400
    default_code = "invalid"

    def __init__(self, message: str, *, field: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = str(message)
        self.field = field
        self.code = code or self.default_code

    def __str__(self) -> str:
        return self.message


class NotVisible(ApplicationError):
    """The object does not exist, or this person may not know that it does: always 404."""

    status = 404
    default_code = "not_found"

    def __init__(self, message: str = "", *, field: str | None = None, code: str | None = None) -> None:
        super().__init__(
            message or "This does not exist, or it is not shared with you.", field=field, code=code
        )


class NotAllowed(ApplicationError):
    """The person may see the object but not do this to it: 403."""

    status = 403
    default_code = "not_allowed"


class Conflict(ApplicationError):
    """The object is no longer in the state that the request supposed: 409."""

    status = 409
    default_code = "conflict"
