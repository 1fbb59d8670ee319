"""A fact about a scan and what it forbids."""

from dataclasses import dataclass
from typing import Literal

from petechia.errors import UnfitError

Status = Literal["ok", "limited", "refused", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One fact about the scan and what it forbids.

    Attributes
    ----------
    check : str
        What was looked at.
    status : str
        'ok', 'limited', 'refused' or 'unknown'.
    value : str
        The measured or stated value.
    says : str
        One sentence for the reader.
    forbids : tuple of str
        Answers that cannot be given: 'microbleeds', 'susceptibility', 'sign', 'r2star', 'sites'.
    """

    check: str
    status: Status
    value: str
    says: str
    forbids: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, str]:
        """Return the row of the summary and the report."""
        return {
            "check": self.check,
            "status": self.status,
            "value": self.value,
            "says": self.says,
        }


def require_assessable(checks: list[Check], where: str) -> None:
    """Raise `UnfitError` when microbleeds cannot be assessed.

    Raises
    ------
    UnfitError
        With the first reason.
    """
    reasons = forbidden(checks, "microbleeds")
    if reasons:
        raise UnfitError(
            reasons[0].rstrip("."),
            where=where,
            mend="Take a scan whose voxels, echo times and quality can show them.",
        )


def forbidden(checks: list[Check], answer: str) -> list[str]:
    """Return why `answer` cannot be given; empty when it can."""
    return [check.says for check in checks if answer in check.forbids]
