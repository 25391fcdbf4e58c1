"""Why a file cannot be read, in a sentence for the person who brought it."""

from synthesis.errors import SynthesisError


class UnreadableFile(SynthesisError):
    """The file is damaged, hostile, or of a kind that is not taken; the message says which."""
