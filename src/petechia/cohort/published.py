"""Numbers of the founding review and its sources, and the same numbers by this package."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduced:
    """A published number beside ours.

    Attributes
    ----------
    source, what, inputs : str
    published : str
        As printed; '' where only the table was published.
    ours, difference : float
    agrees : str
        'yes', 'no' or 'n/a' (nothing to compare with).
    remark : str
        Where the published number and its own table disagree, in words.
    """

    source: str
    what: str
    inputs: str
    published: str
    ours: float
    difference: float
    agrees: str
    remark: str = ""


def reproduce() -> tuple[Reproduced, ...]:
    """Return every number that can be made again from its printed table."""
    raise NotImplementedError
