"""Tests of the harmoniser."""
