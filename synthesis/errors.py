"""The two exceptions that leave the mathematics: one for the clinician, one for the cancel button."""


class SynthesisError(Exception):
    """Synthesis cannot go on, and the message says why in a plain sentence for the clinician."""


class Cancelled(Exception):
    """Raised by an `on_step` callable to stop the work; no sampler and no generator swallows it."""
