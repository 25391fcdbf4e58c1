"""A dataset as a folder or a zip to take away; docs/export.md describes what lies where."""
