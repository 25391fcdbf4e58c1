"""The web side of Semblance: people, records and pages; it never imports torch.

Nothing is imported here: `webapp.launch` runs before any package is installed.
"""
