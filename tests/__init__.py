"""Semblance's tests."""
