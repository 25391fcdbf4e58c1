"""The statistics of a reader study, one measure per file: pure numpy, scipy and statsmodels, no Django."""
