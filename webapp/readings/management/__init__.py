"""Commands of the readings app."""
