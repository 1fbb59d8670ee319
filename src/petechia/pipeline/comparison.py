"""Two sessions of one person compared: registered, lesions matched, and what became of each."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.anatomy.sessions import SessionFit, SessionImage, register_sessions
from petechia.lesions.follow import (
    Followed,
    FollowParams,
    Session,
    fates,
    kinships,
    match,
)
from petechia.lesions.forced import Look, look_at
from petechia.lesions.pieces import Voids
from petechia.lesions.protocols import protocol_differences
from petechia.pipeline.visits import Visit

LOOK_MM = 0.5
"""A place is read so far around, besides twice the registration's uncertainty [mm]."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Comparison:
    """Two sessions of one person.

    Attributes
    ----------
    first, second : Visit
        Earlier and later.
    fit : SessionFit
        First to second.
    followed : tuple of Followed
        Every lesion of either; places in the second's scanner RAS.
    differences : tuple of str
        In which ways the protocols differ.
    days : float or None
        Between them.
    compared : str
        'previous', 'first', or 'first and previous'.
    """

    first: Visit
    second: Visit
    fit: SessionFit
    followed: tuple[Followed, ...]
    differences: tuple[str, ...]
    days: float | None
    compared: str

    def count(self, state: str) -> int:
        """Return how many lesions have a state."""
        return sum(f.state == state for f in self.followed)


def compare(
    first: Visit,
    second: Visit,
    compared: str = "first and previous",
    days: float | None = None,
    params: FollowParams | None = None,
) -> Comparison:
    """Return what became of every lesion of two sessions.

    When the sessions cannot be registered, or one of them cannot show microbleeds, nothing is
    followed, and `fit.says` or the summary tells why.
    """
    p = params or FollowParams()
    one, other = (
        SessionImage(image=v.maps.dark, mask=v.maps.mask, grid=v.grid) for v in (first, second)
    )
    fit = register_sessions(one, other)
    differences = protocol_differences(first.protocol, second.protocol)
    followed: list[Followed] = []
    if fit.ok and first.assessable and second.assessable:
        followed = _followed(first, second, fit, p, same_protocol=not differences)
    return Comparison(
        first=first,
        second=second,
        fit=fit,
        followed=tuple(followed),
        differences=tuple(differences),
        days=days,
        compared=compared,
    )


def _followed(
    first: Visit, second: Visit, fit: SessionFit, p: FollowParams, *, same_protocol: bool
) -> list[Followed]:
    uncertain, back = fit.uncertainty_mm, fit.inverse
    slack = LOOK_MM + 2 * uncertain
    there = fit.to_second(first.places_mm)
    then = _session(first, there, back.to_second(second.places_mm), uncertain)
    now = _session(second, second.places_mm, there, uncertain)
    lesions = kinships(then, now, match(then, now, uncertain, p), uncertain, p)

    def looks(
        own: Visit, other: Visit, way: SessionFit, rows: list[int]
    ) -> dict[int, tuple[Look, Look]]:
        here = own.places_mm[rows]
        radii = [max(1.0, 0.5 * own.findings[row].diameter_mm) for row in rows]
        seen = look_at(own.maps, here, radii, slack)
        unasked = look_at(other.maps, way.to_second(here), radii, slack)
        return {row: pair for row, *pair in zip(rows, seen, unasked, strict=True)}  # type: ignore[misc]

    of_now = looks(second, first, back, [kin.second[0] for kin in lesions if not kin.first])
    of_then = looks(first, second, fit, [kin.first[0] for kin in lesions if not kin.second])
    return fates(then, now, lesions, of_now, of_then, same_protocol=same_protocol, params=p)


def _session(
    visit: Visit,
    places_mm: npt.NDArray[np.float64],
    others_mm: npt.NDArray[np.float64],
    slack_mm: float,
) -> Session:
    """Return a session with its places in the common space, and the other's in its own."""
    return Session(
        findings=visit.findings,
        places_mm=places_mm,
        b0_t=float(visit.protocol["b0_t"]),
        te_s=float(visit.protocol["reading_te_s"]),
        voxel_mm=np.asarray(visit.protocol["spacing_mm"], dtype=np.float64),
        voids=Voids.of(
            visit.labels, [f.index for f in visit.findings], visit.grid, others_mm, slack_mm
        ),
    )
