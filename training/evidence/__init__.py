"""The evidence: one paper, one file; each regenerates docs/evidence/<paper>.md from its recipes."""
