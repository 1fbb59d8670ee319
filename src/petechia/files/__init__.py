"""NIfTI, DICOM, BIDS, tables and the output contract."""
