"""What latent drifting moves, as the API takes it."""

from typing import Any

from rest_framework import serializers

from synthesis.drift_size import SCHEMES


class DriftSchemeField(serializers.ChoiceField):
    """One of the ways to drift, each in a sentence."""

    def __init__(self, **kwargs: Any) -> None:
        told = (
            "What a drift moves: init_only, the start alone (the default); noise or prior, the start and "
            "every step, exact, so that an untrained model draws as without; literal, a share after each "
            "step."
        )
        wrong = f"There is no way to drift called {{input}}; choose one of {', '.join(SCHEMES)}."
        super().__init__(choices=SCHEMES, help_text=told, error_messages={"invalid_choice": wrong}, **kwargs)
