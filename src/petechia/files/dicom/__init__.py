"""DICOM in: folders, files and zips of classic or enhanced MR images to scans.

collect (headers of everything) -> sort (volumes) -> pair (scans) -> read (pixels, on demand).
"""

from petechia.files.dicom.find import find_dicom_scans

__all__ = ["find_dicom_scans"]
