"""One way of changing one thing in an image per file; see COUNTERFACTUALS in synthesis/catalog.py."""
