"""DICOM, NIfTI and pictures to arrays and back; masks onto a model's grid; nothing here needs torch."""
