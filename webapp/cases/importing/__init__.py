"""Bringing files in: finding them, knowing what they are, cleaning, storing, and reporting each one."""
