"""One lesion that a session's detector counted as several findings.

Whether a void is one finding or two is a matter of a voxel. So what one session has over is
asked first whether it is a piece: of a lesion whose void the other session shows at its place,
of one beside which it lies and whose moment it completes, or of another new one it touches.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from petechia.core.grid import Grid
from petechia.core.intervals import Z95
from petechia.lesions.findings import Finding

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.integer]

TOUCH_MM = 1.5
"""Voids whose voxels lie no further apart along any axis touch, or one voxel where that is more."""
ROUNDING = 1e-3
"""Part of a voxel that the sizes in a header may be off."""
UNCOUNTED_PIECES = ("microbleed", "undetermined")
"""Classes that may be a piece of a lesion without being counted themselves."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Voids:
    """How the voids of a session's findings lie to each other and to the other session's places.

    Attributes
    ----------
    touching : (N, N) ndarray of bool
        Which findings' voids touch.
    holding : (M, N) ndarray of bool
        Which void holds the place of a finding of the other session.
    """

    touching: Bools
    holding: Bools

    @classmethod
    def of(
        cls,
        labels: Labels,
        indices: Sequence[int],
        grid: Grid,
        others_mm: npt.ArrayLike,
        slack_mm: float,
    ) -> Self:
        """Return how the voids of a session lie.

        Parameters
        ----------
        labels : (I, J, K) ndarray of int
            Findings by their index.
        indices : sequence of int
            Of the findings, in order.
        grid : Grid
            Of the labels.
        others_mm : (M, 3) array
            Places of the other session's findings in this one's scanner RAS [mm].
        slack_mm : float
            How far off they may be along each axis [mm].
        """
        grid.require(labels, "labels")
        voxels, owner = _voxels(labels, indices)
        n = len(indices)
        others = np.asarray(others_mm, dtype=np.float64).reshape(-1, 3)
        touching, holding = np.eye(n, dtype=bool), np.zeros((len(others), n), dtype=bool)
        if not len(voxels):
            return cls(touching=touching, holding=holding)
        steps = np.maximum(np.floor(TOUCH_MM / grid.spacing_mm + ROUNDING), 1.0) + 0.01
        tree = cKDTree(voxels / steps)
        for row in range(n):
            near = tree.query_ball_point(voxels[owner == row] / steps, 1.0, p=np.inf)
            touching[row, owner[_flat(near)]] = True
        reach = 0.5 + slack_mm / grid.spacing_mm
        tree = cKDTree(voxels / reach)
        for row, near in enumerate(
            tree.query_ball_point(grid.to_index(others) / reach, 1.0, p=np.inf)
        ):
            holding[row, owner[_flat([near])]] = True
        return cls(touching=touching | touching.T, holding=holding)

    @classmethod
    def apart(cls, n: int, n_others: int) -> Self:
        """Return voids that neither touch nor hold anything: nothing is known of them."""
        return cls(touching=np.eye(n, dtype=bool), holding=np.zeros((n_others, n), dtype=bool))


def _flat(lists: Iterable[Sequence[int]]) -> npt.NDArray[np.intp]:
    return np.array([n for some in lists for n in some], dtype=np.intp)


def _voxels(labels: Labels, indices: Sequence[int]) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Return the voxels of the findings and whose they are (row)."""
    boxes = ndimage.find_objects(labels)
    found, owner = [np.zeros((0, 3))], [np.zeros(0, dtype=np.intp)]
    for row, index in enumerate(indices):
        box = boxes[index - 1] if 0 < index <= len(boxes) else None
        if box is None:
            continue
        at = np.argwhere(labels[box] == index) + np.array([s.start for s in box])
        found.append(at.astype(np.float64))
        owner.append(np.full(len(at), row, dtype=np.intp))
    return np.concatenate(found), np.concatenate(owner)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kin:
    """One lesion: its findings in either session, by rows, the main one first.

    Attributes
    ----------
    first, second : tuple of int
        Empty where a session did not find it.
    """

    first: tuple[int, ...] = ()
    second: tuple[int, ...] = ()


def together(findings: Sequence[Finding]) -> Finding:
    """Return the pieces of a lesion as one finding: the first one, with the moments added."""
    main = findings[0]
    if len(findings) == 1:
        return main
    moments = [f.moment_ppm_mm3 for f in findings]
    errors = [f.moment_se_ppm_mm3 for f in findings]
    known = all(v is not None for v in (*moments, *errors))
    return replace(
        main,
        counted=any(f.counted for f in findings),
        volume_mm3=float(np.sum([f.volume_mm3 for f in findings])),
        moment_ppm_mm3=float(sum(v for v in moments if v is not None)) if known else None,
        moment_se_ppm_mm3=float(np.hypot.reduce([e for e in errors if e is not None]))
        if known
        else None,
    )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Side:
    """One session, seen from itself, as its pieces are looked for.

    Attributes
    ----------
    own, other : sequence of Finding
        Of this session and of the other one.
    followed : sequence of int
        Rows of this session that are followed.
    apart_mm, reach_mm : (N, M) ndarray
        How far own findings lie from the other's, and how far they may be one [mm].
    touching : (N, N) ndarray of bool
        Which own voids touch.
    held : (N, M) ndarray of bool
        Whether a void of the other session holds an own finding's place.
    """

    own: Sequence[Finding]
    other: Sequence[Finding]
    followed: Sequence[int]
    apart_mm: Floats
    reach_mm: Floats
    touching: Bools
    held: Bools

    def joined(self, pairs: Sequence[tuple[int, int]]) -> tuple[list[list[int]], list[list[int]]]:
        """Return the pieces of each matched lesion, and of each that was not matched.

        Parameters
        ----------
        pairs : sequence of (int, int)
            Own row and the other's row of matched lesions.

        Returns
        -------
        groups : list of list of int
            In step with `pairs`: own rows, the matched one first.
        alone : list of list of int
            Own rows of each lesion the other session has not, the largest first.
        """
        groups = [[own] for own, _ in pairs]
        taken = {own for own, _ in pairs}
        alone = []
        for row in self._by_size([r for r in self.followed if r not in taken]):
            at = self._whose(row, pairs, groups)
            if at is None:
                alone.append(row)
            else:
                groups[at].append(row)
        self._add_uncounted(pairs, groups, taken | set(alone))
        return groups, self._clustered(alone)

    def _by_size(self, rows: Iterable[int]) -> list[int]:
        return sorted(rows, key=lambda r: (-abs(self.own[r].moment_ppm_mm3 or 0.0), r))

    def _whose(
        self, row: int, pairs: Sequence[tuple[int, int]], groups: list[list[int]]
    ) -> int | None:
        """Return which matched lesion a finding is a piece of; None: of none."""
        best, least = None, np.inf
        for at, (_, there) in enumerate(pairs):
            lesion = self.other[there]
            if self.own[row].class_ not in (lesion.class_, self.own[groups[at][0]].class_):
                continue
            near = self.apart_mm[row, there] <= self.reach_mm[row, there]
            touches = self.touching[row, groups[at]].any()
            whole = near and touches and self._completes(row, groups[at], lesion)
            if (self.held[row, there] or whole) and self.apart_mm[row, there] < least:
                best, least = at, self.apart_mm[row, there]
        return best

    def _completes(self, row: int, group: list[int], lesion: Finding) -> bool:
        """Return whether a lesion's moment is that of the group with the finding, not without."""
        pieces = [self.own[r] for r in group]
        part, whole = together(pieces), together([*pieces, self.own[row]])
        if None in (part.moment_ppm_mm3, whole.moment_ppm_mm3, lesion.moment_ppm_mm3):
            return False
        there = float(lesion.moment_ppm_mm3 or 0)
        without = abs(float(part.moment_ppm_mm3 or 0) - there)
        with_it = abs(float(whole.moment_ppm_mm3 or 0) - there)
        error = np.hypot(whole.moment_se_ppm_mm3 or 0.0, lesion.moment_se_ppm_mm3 or 0.0)
        return bool(with_it < without and with_it <= Z95 * error)

    def _add_uncounted(
        self, pairs: Sequence[tuple[int, int]], groups: list[list[int]], taken: set[int]
    ) -> None:
        """Add what was not counted but lies in the other's void and touches the lesion."""
        for row, finding in enumerate(self.own):
            known = finding.moment_ppm_mm3 is not None
            if row in taken or finding.class_ not in UNCOUNTED_PIECES or not known:
                continue
            if row in self.followed:
                continue
            for at, (_, there) in enumerate(pairs):
                if self.held[row, there] and self.touching[row, groups[at]].any():
                    groups[at].append(row)
                    break

    def _clustered(self, alone: list[int]) -> list[list[int]]:
        """Return unmatched findings, those of one class that touch together."""
        groups: list[list[int]] = []
        left = list(alone)
        while left:
            group = [left.pop(0)]
            for row in group:  # grows as it is walked
                kind = self.own[row].class_
                more = [r for r in left if self.touching[row, r] and self.own[r].class_ == kind]
                group += more
                left = [r for r in left if r not in more]
            groups.append(group)
        return groups
