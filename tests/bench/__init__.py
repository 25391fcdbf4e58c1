"""Measures of speed and memory, for people to read: nothing here passes or fails."""
