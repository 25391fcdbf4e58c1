"""Tests of the leak audit."""
