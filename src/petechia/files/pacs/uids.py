"""Unique identifiers: numbers and dots, and nothing that could be part of a path."""

import re

from petechia.errors import ParameterError

_UID = re.compile(r"[0-9]+(\.[0-9]+)+")


def is_uid(text: str) -> bool:
    """Whether `text` has the form of a DICOM UID and nothing besides."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def require_uid(text: str, where: str) -> str:
    """Return a UID that a user gave; `ParameterError` when it is none."""
    if not is_uid(text):
        raise ParameterError(
            f"{text[:70]!r} is no UID",
            where=where,
            mend="A UID is numbers with dots between, 64 characters at most.",
        )
    return text
