"""Commands of the cases app."""
