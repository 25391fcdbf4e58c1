"""Semblance's mathematics: from a label map and a wish to synthetic images, without any web framework."""

__version__ = "0.2.0"
