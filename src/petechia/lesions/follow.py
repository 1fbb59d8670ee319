"""Lesions of one person in two sessions: which is which, what is new, what has grown.

Counted lesions are matched to counted ones first, one to one; those left over are looked for
among the findings the other session did not count. What is left then may be a piece of a
matched lesion; what is none is looked for in the other session's images. Nothing is called new
that was seen before, or that could not have been seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from petechia.core.intervals import Z95, poisson
from petechia.core.matching import one_to_one
from petechia.core.units import DAYS_A_YEAR
from petechia.errors import ParameterError
from petechia.lesions.change import Change, ChangeParams, change_of
from petechia.lesions.findings import Finding
from petechia.lesions.forced import LEAST_EXPONENT, Look, moment_of_void, visible_exponent
from petechia.lesions.pieces import Kin, Side, Voids, together

Floats = npt.NDArray[np.float64]
STATES = ("new", "grown", "shrunk", "stable", "seen_not_counted", "not_seen", "not_assessable")
FOLLOWED = ("microbleed", "macrobleed", "siderosis")
"""Classes that are followed: microbleeds that are counted, the others always."""
FAR_MM = 1e4
"""Farther than two places of one head can lie apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowParams:
    """Settings of `follow`.

    Attributes
    ----------
    base_mm : float
        Two findings at one place may lie so far apart, besides what follows [mm].
    sigmas : float
        And so many standard errors of the registration.
    voxel_share, size_share : float
        And such parts of the larger voxel diagonal and of the mean radius.
    most_mm : float
        Never farther than this [mm].
    kept_moment : float
        A source with less than this share of a lesion's moment, its error taken off, is not it.
    kept_loss, sure_loss : float
        Share of a lesion's signal loss that must be seen at its place in the other session to
        call it seen there: the first with a moment that agrees, the second without phase. With
        the second and a moment that does not agree, it cannot be told.
    least_sd : float
        And so many standard deviations of the signal around.
    change : ChangeParams
        What of two moments' errors is an error of their difference.
    """

    base_mm: float = 1.0
    sigmas: float = 2.5
    voxel_share: float = 0.5
    size_share: float = 0.5
    most_mm: float = 6.0
    kept_moment: float = 0.4
    kept_loss: float = 0.5
    sure_loss: float = 0.65
    least_sd: float = 3.0
    change: ChangeParams = field(default_factory=ChangeParams)

    def __post_init__(self) -> None:
        shares = (self.base_mm, self.sigmas, self.voxel_share, self.size_share, self.least_sd)
        parts = (self.kept_moment, self.kept_loss, self.sure_loss)
        if min(shares) < 0 or self.most_mm <= 0 or not all(0 <= part <= 1 for part in parts):
            raise ParameterError(
                f"{self}",
                where="FollowParams",
                mend="Shares at least 0; most_mm above 0; kept_moment, kept_loss and sure_loss "
                "0 to 1.",
            )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Session:
    """One session's findings and what its protocol lets be seen.

    Attributes
    ----------
    findings : sequence of Finding
        All, also those not counted.
    places_mm : (N, 3) ndarray
        Where they lie in the space both sessions are brought to [mm].
    b0_t, te_s : float
        Field and reading echo [T, s].
    voxel_mm : (3,) ndarray
        Voxel [mm].
    voids : Voids, optional
        How its voids lie to each other, and to the other session's findings.
    """

    findings: Sequence[Finding]
    places_mm: Floats
    b0_t: float
    te_s: float
    voxel_mm: Floats
    voids: Voids | None = None

    @property
    def followed(self) -> list[int]:
        """Rows of the lesions that are followed."""
        return [n for n, f in enumerate(self.findings) if is_followed(f)]

    def moment(self, finding: Finding) -> float:
        """Return the moment of a finding, by its void where it was not measured."""
        if finding.moment_ppm_mm3 is not None:
            return abs(finding.moment_ppm_mm3)
        return moment_of_void(finding.volume_mm3, self.b0_t, self.te_s)

    def would_show(self, moment_ppm_mm3: float) -> bool:
        """Return whether a lesion of a moment makes a void by this protocol."""
        voxel_mm3 = float(np.prod(self.voxel_mm))
        exponent = visible_exponent(moment_ppm_mm3, self.b0_t, self.te_s, voxel_mm3)
        return exponent >= LEAST_EXPONENT


def is_followed(finding: Finding) -> bool:
    """Return whether a finding is a lesion whose fate is told."""
    if finding.class_ == "microbleed":
        return finding.counted
    return finding.class_ in FOLLOWED


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """One lesion and what became of it.

    Attributes
    ----------
    state : str
        One of `STATES`.
    first, second : Finding or None
        What the earlier and the later session found there; of several pieces, all as one.
    place_mm : tuple of float
        Where, in the space both are brought to [mm].
    apart_mm : float or None
        Distance of the two [mm].
    change : Change or None
        Of the moment; None unless both were measured.
    look : Look or None
        What was measured in the session that had not found it.
    why : str
        The reason for the state.
    pieces_first, pieces_second : tuple of int
        Indices of the findings it is made of, the main one first.
    """

    state: str
    first: Finding | None
    second: Finding | None
    place_mm: tuple[float, float, float]
    pieces_first: tuple[int, ...] = ()
    pieces_second: tuple[int, ...] = ()
    apart_mm: float | None = None
    change: Change | None = None
    look: Look | None = field(default=None, repr=False)
    why: str = ""

    @property
    def class_(self) -> str:
        """What it is: as the later session says, when it found it."""
        seen = [f for f in (self.second, self.first) if f is not None]
        return next((f for f in seen if is_followed(f)), seen[0]).class_


def reach_mm(first: Session, second: Session, uncertainty_mm: float, p: FollowParams) -> Floats:
    """Return how far apart each pair of findings may lie to be one, (N, M) [mm]."""
    voxel = max(float(np.linalg.norm(s.voxel_mm)) for s in (first, second))
    fixed = p.base_mm + p.sigmas * uncertainty_mm + p.voxel_share * voxel
    radii = [np.array([_radius(f) for f in s.findings]) for s in (first, second)]
    reach = fixed + p.size_share * 0.5 * (radii[0][:, None] + radii[1][None, :])
    return np.asarray(np.minimum(reach, p.most_mm))


def _radius(finding: Finding) -> float:
    return 0.5 * finding.diameter_mm if np.isfinite(finding.diameter_mm) else 1.5


def match(
    first: Session, second: Session, uncertainty_mm: float, params: FollowParams | None = None
) -> list[tuple[int, int]]:
    """Return which finding of the first session is which of the second, one to one.

    Lesions that both count come first, within reach and then, for large ones whose middle
    moved, one in the void of the other. What is left of them is sought among all other
    findings of the other session.
    """
    p = params or FollowParams()
    if not first.findings or not second.findings:
        return []
    reach = reach_mm(first, second, uncertainty_mm, p)
    pairs = _paired(first, second, first.followed, second.followed, reach)
    ours, theirs = _left(first, second, pairs)
    pairs += _paired(first, second, ours, theirs, _overlapping(first, second))
    for of_first in (True, False):
        ours, theirs = _left(first, second, pairs)
        taken = {pair[1 if of_first else 0] for pair in pairs}
        others = [n for n in range(len((second if of_first else first).findings)) if n not in taken]
        rows, columns = (ours, others) if of_first else (others, theirs)
        found = _paired(first, second, rows, columns, reach)
        pairs += [pair for pair in found if _could_be_one(first, second, pair, p)]
    return sorted(pairs)


def _left(
    first: Session, second: Session, pairs: Sequence[tuple[int, int]]
) -> tuple[list[int], list[int]]:
    """Return the followed lesions of either session that have no partner."""
    taken = {a for a, _ in pairs}, {b for _, b in pairs}
    ours = [n for n in first.followed if n not in taken[0]]
    return ours, [n for n in second.followed if n not in taken[1]]


def _overlapping(first: Session, second: Session) -> Floats:
    """Return any distance where a lesion lies in the void of one of its class, else none [mm]."""
    held = _voids(first, second).holding.T | _voids(second, first).holding
    kinds = [np.array([f.class_ for f in s.findings]) for s in (first, second)]
    return np.where(held & (kinds[0][:, None] == kinds[1][None, :]), FAR_MM, -1.0)


def _voids(own: Session, other: Session) -> Voids:
    return own.voids or Voids.apart(len(own.findings), len(other.findings))


def kinships(
    first: Session,
    second: Session,
    pairs: Sequence[tuple[int, int]],
    uncertainty_mm: float,
    params: FollowParams | None = None,
) -> list[Kin]:
    """Return every lesion of either session with the findings it is made of.

    Parameters
    ----------
    pairs : sequence of (int, int)
        From `match`.
    """
    p = params or FollowParams()
    shape = (len(first.findings), len(second.findings))
    reach = reach_mm(first, second, uncertainty_mm, p) if all(shape) else np.zeros(shape)
    apart = np.linalg.norm(first.places_mm[:, None] - second.places_mm[None], axis=-1)
    voids = _voids(first, second), _voids(second, first)
    then = Side(
        own=first.findings, other=second.findings, followed=first.followed, apart_mm=apart,
        reach_mm=reach, touching=voids[0].touching, held=voids[1].holding,
    )  # fmt: skip
    now = Side(
        own=second.findings, other=first.findings, followed=second.followed, apart_mm=apart.T,
        reach_mm=reach.T, touching=voids[1].touching, held=voids[0].holding,
    )  # fmt: skip
    ours, gone = then.joined(pairs)
    theirs, fresh = now.joined([(b, a) for a, b in pairs])
    out = [Kin(first=tuple(a), second=tuple(b)) for a, b in zip(ours, theirs, strict=True)]
    out += [Kin(second=tuple(rows)) for rows in fresh]
    return out + [Kin(first=tuple(rows)) for rows in gone]


def _paired(
    first: Session, second: Session, rows: list[int], columns: list[int], reach: Floats
) -> list[tuple[int, int]]:
    if not rows or not columns:
        return []
    allowed = reach[np.ix_(rows, columns)]
    found = one_to_one(first.places_mm[rows], second.places_mm[columns], allowed).pairs
    return [(rows[int(a)], columns[int(b)]) for a, b in found]


def _could_be_one(first: Session, second: Session, pair: tuple[int, int], p: FollowParams) -> bool:
    """Return whether what was not counted has enough moment to be the counted lesion."""
    one, other = first.findings[pair[0]], second.findings[pair[1]]
    lesion, spot = (one, other) if is_followed(one) else (other, one)
    if None in (lesion.moment_ppm_mm3, spot.moment_ppm_mm3, spot.moment_se_ppm_mm3):
        return True
    upper = float(spot.moment_ppm_mm3 or 0) + float(spot.moment_se_ppm_mm3 or 0)
    return upper >= p.kept_moment * float(lesion.moment_ppm_mm3 or 0)


def as_dark(own: Look, other: Look, p: FollowParams) -> bool:
    """Return whether the other session is about as dark at a lesion's place as its own."""
    if other.loss < p.least_sd * other.loss_sd or own.loss <= 0:
        return False
    return other.loss / own.loss >= p.sure_loss


def present(lesion: Finding, own: Look, other: Look, p: FollowParams) -> bool:
    """Return whether the other session shows, unasked, what a lesion is in its own.

    Parameters
    ----------
    lesion : Finding
        As its own session measured it.
    own, other : Look
        At its place in its own session, and in the other one.
    """
    if other.moment_ppm_mm3 is None or other.se_ppm_mm3 is None or lesion.moment_ppm_mm3 is None:
        return as_dark(own, other, p)
    if other.loss < p.least_sd * other.loss_sd or own.loss <= 0:
        return False
    enough = other.moment_ppm_mm3 >= p.kept_moment * lesion.moment_ppm_mm3
    above_noise = other.moment_ppm_mm3 > Z95 * other.se_ppm_mm3
    return other.loss / own.loss >= p.kept_loss and enough and above_noise


def fates(
    first: Session,
    second: Session,
    lesions: Sequence[Kin],
    looks_first: dict[int, tuple[Look, Look]],
    looks_second: dict[int, tuple[Look, Look]],
    *,
    same_protocol: bool = False,
    params: FollowParams | None = None,
) -> list[Followed]:
    """Return what became of every lesion of either session.

    Parameters
    ----------
    first, second : Session
        Earlier and later.
    lesions : sequence of Kin
        From `kinships`.
    looks_first : dict
        For each lesion that only the *second* session has, by its main row: what that session
        shows at its place, and what the first shows there.
    looks_second : dict
        The same for lesions that only the first session has.
    same_protocol : bool
        Whether both were scanned by one protocol.
    params : FollowParams, optional
        Settings.
    """
    p = params or FollowParams()
    out = []
    for kin in lesions:
        if kin.first and kin.second:
            out.append(_matched(first, second, kin, p, same_protocol=same_protocol))
        elif kin.second:
            looks = looks_first[kin.second[0]]
            out.append(_alone(second, first, kin.second, *looks, p, later=True, same=same_protocol))
        else:
            looks = looks_second[kin.first[0]]
            out.append(_alone(first, second, kin.first, *looks, p, later=False, same=same_protocol))
    order = {state: n for n, state in enumerate(STATES)}
    return sorted(out, key=lambda f: (order[f.state], f.place_mm))


def _matched(
    first: Session, second: Session, kin: Kin, p: FollowParams, *, same_protocol: bool
) -> Followed:
    one = together([first.findings[row] for row in kin.first])
    other = together([second.findings[row] for row in kin.second])
    places = first.places_mm[kin.first[0]], second.places_mm[kin.second[0]]
    change = change_of(one, other, same_protocol=same_protocol, params=p.change)
    state, why = "stable", "found in both"
    if change is None:
        why = "found in both; growth is not assessed without moments"
    elif change.reliable:
        state = "grown" if change.value > 0 else "shrunk"
        why = "the change of its moment exceeds its error"
    if is_followed(one) != is_followed(other):
        counted, spot = ("later", one) if is_followed(other) else ("earlier", other)
        state = "seen_not_counted"
        what = spot.class_.replace("_", " ")
        why = f"counted in the {counted} session only; the other found it too ({what})"
    pieces = _indices(first, kin.first), _indices(second, kin.second)
    for lesion, some, word in zip((one, other), pieces, ("earlier", "later"), strict=True):
        why += _split(lesion, some, word)
    return Followed(
        state=state,
        first=one,
        second=other,
        place_mm=_triple(places[1]),
        pieces_first=pieces[0],
        pieces_second=pieces[1],
        apart_mm=float(np.linalg.norm(places[0] - places[1])),
        change=change,
        why=why,
    )


def _indices(session: Session, rows: Sequence[int]) -> tuple[int, ...]:
    return tuple(session.findings[row].index for row in rows)


def _split(lesion: Finding, indices: Sequence[int], word: str) -> str:
    """Return in words that a session has a lesion in pieces; "" when it has it in one."""
    if len(indices) < 2:
        return ""
    listed = ", ".join(map(str, indices[:-1]))
    told = f"; split in the {word} session: findings {listed} and {indices[-1]} are its pieces"
    return told if lesion.moment_ppm_mm3 is None else f"{told}, their moments added"


def _alone(
    here: Session,
    there: Session,
    rows: Sequence[int],
    own: Look,
    other: Look,
    p: FollowParams,
    *,
    later: bool,
    same: bool,
) -> Followed:
    """Return the fate of a lesion that only `here` found.

    What one session found, another of the same protocol would have shown, too.
    """
    main, lesion = here.findings[rows[0]], together([here.findings[row] for row in rows])
    word = "earlier" if later else "later"
    state, why = "new" if later else "not_seen", f"nothing there in the {word} session"
    if other.why_not:
        state, why = "not_assessable", f"{other.why_not} in the {word} session"
    elif present(main, own, other, p):
        state, why = (
            "seen_not_counted",
            f"its void and moment are there in the {word} session, not found",
        )
        if other.moment_ppm_mm3 is None or main.moment_ppm_mm3 is None:
            why = f"its void is there in the {word} session, not found"
    elif as_dark(own, other, p):
        state, why = "not_assessable", f"as dark there in the {word} session, by another moment"
    elif not same and not there.would_show(here.moment(lesion)):
        state, why = "not_assessable", f"too faint for the protocol of the {word} session"
    pieces = _indices(here, rows)
    why += _split(lesion, pieces, "later" if later else "earlier")
    return Followed(
        state=state,
        first=None if later else lesion,
        second=lesion if later else None,
        place_mm=_triple(here.places_mm[rows[0]]),
        pieces_first=() if later else pieces,
        pieces_second=pieces if later else (),
        look=other,
        why=why,
    )


def _triple(place: Floats) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in place)
    return x, y, z


def new_bounds(followed: Sequence[Followed], class_: str) -> tuple[int, int]:
    """Return how many new lesions of a class there are at least and at most.

    Those that could not be assessed in the earlier session may be new.
    """
    new = sum(f.state == "new" and f.class_ == class_ for f in followed)
    unknown = sum(
        f.state == "not_assessable" and f.class_ == class_ and f.second is not None
        for f in followed
    )
    return new, new + unknown


def rate_per_year(n: int, days: float) -> tuple[float, float, float]:
    """Return events per year with the exact 95 % interval of a Poisson count.

    References
    ----------
    Garwood 1936, 10.1093/biomet/28.3-4.437.
    """
    if not days > 0:
        raise ParameterError(
            f"{days} days", where="rate_per_year", mend="Give an interval above 0."
        )
    years = days / DAYS_A_YEAR
    low, high = poisson(n)
    return n / years, low / years, high / years


def sessions_against(n: int) -> list[tuple[int, int]]:
    """Return which of `n` sessions are compared: each with the one before, and the first."""
    pairs = list(pairwise(range(n)))
    return pairs + [(0, later) for later in range(2, n)]
