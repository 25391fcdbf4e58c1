"""Datasets, cases and masks: import, storage, curation, DICOMweb."""
