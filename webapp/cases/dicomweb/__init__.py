"""DICOMweb over the stored cases: search (QIDO-RS) and retrieval (WADO-RS)."""
