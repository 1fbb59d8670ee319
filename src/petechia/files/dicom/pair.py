"""Volumes to scans: which echoes, and which phase, belong to which magnitude.

Echoes and parts of one acquisition lie on one grid, share repetition time and flip angle, and
were acquired at one time; their series are neighbours. Where several acquisitions look alike
(repeated runs) the assignment with the least total distance in time and series number is taken.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from petechia.files.dicom.alike import (
    SAME_ACQUISITION_S,
    SamePixels,
    apart_s,
    same_grid,
    without_fragments,
    without_variants,
)
from petechia.files.dicom.geometry import what_places
from petechia.files.dicom.sort import SAME_ECHO_MS, Volume, n_places, place_of

JOIN_WITHIN_S = 120.0
FORBIDDEN = 1e12
N_COILS = 4
"""So many series that differ in nothing but content are those of receive coils, whose names
the header need not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Volumes of one part and one acquisition, by echo time."""

    volumes: tuple[Volume, ...]

    @property
    def te_ms(self) -> tuple[float | None, ...]:
        """Echo times [ms]."""
        return tuple(v.te_ms for v in self.volumes)

    @property
    def lead(self) -> Volume:
        """The first echo."""
        return self.volumes[0]

    @property
    def series_number(self) -> int:
        """Lowest series number."""
        return min(v.first.series_number for v in self.volumes)

    @property
    def acquired_s(self) -> float | None:
        """Earliest time of acquisition; only for comparing."""
        times = [v.acquired_s for v in self.volumes if v.acquired_s is not None]
        return min(times) if times else None

    def joined(self, volume: Volume) -> "Group":
        """Return this group with one more echo."""
        return Group(volumes=tuple(sorted((*self.volumes, volume), key=lambda v: v.te_ms or 0.0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One scan before its pixels are read.

    Attributes
    ----------
    magnitude, phase, real, imaginary : tuple of Volume
        By echo time; what is not there is empty.
    problem : (what, mend) or None
        Why the parts do not fit; raised when the scan is loaded.
    notes : tuple of str
        What was left aside.
    """

    magnitude: tuple[Volume, ...] = ()
    phase: tuple[Volume, ...] = ()
    real: tuple[Volume, ...] = ()
    imaginary: tuple[Volume, ...] = ()
    problem: tuple[str, str] | None = None
    notes: tuple[str, ...] = ()

    @property
    def volumes(self) -> tuple[Volume, ...]:
        """All volumes to be read."""
        return self.magnitude + self.phase + self.real + self.imaginary

    @property
    def series_number(self) -> int:
        """Lowest series number: scans are numbered in its order."""
        return min(v.first.series_number for v in self.volumes)

    @property
    def te_ms(self) -> tuple[float | None, ...]:
        """Echo times of the magnitude [ms]."""
        return tuple(v.te_ms for v in self.magnitude or self.real)


def plans_of(volumes: Sequence[Volume], same_pixels: SamePixels) -> tuple[list[Plan], list[str]]:
    """Return the scans that `volumes` make up by series number, and notes on what was left.

    Parameters
    ----------
    volumes : sequence of Volume
        Of images fit for a scan.
    same_pixels : callable
        Whether two volumes hold the same pixels; asked only where headers cannot tell.
    """
    volumes, notes = without_fragments(volumes)
    plans: list[Plan] = []
    for alike in same_grid(volumes):
        alike, left = without_variants(alike, same_pixels)
        notes += left
        found, left = _plans_on_one_grid(alike)
        plans += found
        notes += left
    plans, left = _without_weak(_with_lost_parts(_without_coils(plans)))
    return sorted(plans, key=lambda p: p.series_number), notes + left


def _without_coils(plans: list[Plan]) -> list[Plan]:
    """Say of images that share time, place, echoes and type but not content that they are coils'.

    Runs differ in time, reconstructions in type; two or three alike may be anything, unless
    each names a receive coil of its own.
    """
    alike: dict[object, list[int]] = defaultdict(list)
    for n, plan in enumerate(plans):
        lead = plan.volumes[0]
        if plan.magnitude and lead.acquired_s is not None:
            corner = min(f.position or () for f in lead.frames)
            who = (lead.first.study, lead.first.person)
            place = (who, corner, lead.first.orientation, len(lead.frames))
            alike[(place, lead.acquired_s, plan.te_ms, lead.first.tokens)].append(n)
    out = list(plans)
    for together in alike.values():
        coils = {plans[n].volumes[0].first.coil for n in together}
        named = len(together) > 1 and len(coils) == len(together) and "" not in coils
        if len(together) >= N_COILS or named:
            numbers = ", ".join(str(plans[n].series_number) for n in together[:8])
            problem = (
                f"{len(together)} series of one time, place and type with other content "
                f"(series {numbers}): the receive coils are not combined",
                "Give the combined images alone; or combine the coils with `petechia combine`.",
            )
            for n in together:
                out[n] = replace(plans[n], problem=problem)
    return out


def groups_of(volumes: Iterable[Volume]) -> list[Group]:
    """Return volumes of one part in groups of one acquisition each: distinct echo times."""
    groups: list[Group] = []
    for volume in volumes:
        fitting = [n for n, group in enumerate(groups) if _joins(group, volume)]
        if fitting:
            best = min(fitting, key=lambda n: (_distance(groups[n], volume), -n))
            groups[best] = groups[best].joined(volume)
        else:
            groups.append(Group(volumes=(volume,)))
    return groups


def _joins(group: Group, volume: Volume) -> bool:
    """Whether `volume` can be another echo of `group`."""
    if volume.te_ms is None or volume.te_ms in group.te_ms or None in group.te_ms:
        return False
    if not group.lead.facts.same_sequence(volume.facts):
        return False
    same_series = any(
        (v.first.series, v.repeat) == (volume.first.series, volume.repeat) for v in group.volumes
    )
    late_s = apart_s(group.acquired_s, volume.acquired_s)
    return same_series or late_s is None or late_s <= JOIN_WITHIN_S


def _distance(group: Group, volume: Volume) -> float:
    """Return how far apart in time and series two images are."""
    late_s = apart_s(group.acquired_s, volume.acquired_s) or 0.0
    late = late_s if late_s > SAME_ACQUISITION_S else 0.0
    numbers = abs(volume.first.series_number - group.series_number)
    repeats = abs(volume.repeat - group.lead.repeat)
    return 100.0 * late + 10.0 * repeats + min(numbers, 1000)


def assign(
    first: Sequence[Group], second: Sequence[Group], fits: Callable[[Group, Group], bool]
) -> dict[int, int]:
    """Return which of `second` belongs to each of `first`, with least total distance."""
    if not first or not second:
        return {}
    cost = np.full((len(first), len(second)), FORBIDDEN)
    for n, one in enumerate(first):
        for m, two in enumerate(second):
            if fits(one, two):
                # scanners number the magnitude before its phase: a tie goes that way
                before = 0.5 if two.series_number < one.series_number else 0.0
                cost[n, m] = _distance(one, two.lead) + before
    rows, columns = linear_sum_assignment(cost)
    return {int(r): int(c) for r, c in zip(rows, columns, strict=True) if cost[r, c] < FORBIDDEN}


def _same_sequence(a: Group, b: Group) -> bool:
    return a.lead.facts.same_sequence(b.lead.facts)


def _te_within(magnitude: Group, phase: Group) -> bool:
    """Whether every phase echo time is one of the magnitude's."""
    if None in magnitude.te_ms or None in phase.te_ms:
        return magnitude.te_ms == phase.te_ms
    return all(
        any(abs(p - m) <= SAME_ECHO_MS for m in magnitude.te_ms)  # type: ignore[operator]
        for p in phase.te_ms
    )


def _plans_on_one_grid(volumes: Sequence[Volume]) -> tuple[list[Plan], list[str]]:
    """Return the scans among volumes of one grid, and notes on parts without a partner."""
    by_part = {
        part: groups_of(v for v in volumes if v.part == part)
        for part in ("mag", "phase", "real", "imag")
    }
    magnitude, phase, real = by_part["mag"], by_part["phase"], by_part["real"]
    imaginary = by_part["imag"]
    halves = assign(real, imaginary, lambda r, i: r.te_ms == i.te_ms and _same_sequence(r, i))
    whole = [real[n] for n in halves]
    other = {id(real[n]): imaginary[m] for n, m in halves.items()}

    def fits(m: Group, p: Group) -> bool:
        return _same_sequence(m, p) and _te_within(m, p)

    phase_of = assign(magnitude, phase, fits)
    complex_of = assign(magnitude, whole, lambda m, c: m.te_ms == c.te_ms and _same_sequence(m, c))
    plans, notes = [], []
    for n, group in enumerate(magnitude):
        plan = Plan(magnitude=group.volumes)
        if n in complex_of:
            half = whole[complex_of[n]]
            plan = replace(plan, real=half.volumes, imaginary=other[id(half)].volumes)
        elif n in phase_of:
            own = phase[phase_of[n]]
            whole_pair, others = _without_strangers(group, own)
            plan = Plan(magnitude=whole_pair, phase=own.volumes)
            notes += [
                f"{other.label} left aside: no phase, which all echoes of series "
                f"{plan.series_number} have"
                for other in others
            ]
        plans.append(plan)
    plans += [
        Plan(real=half.volumes, imaginary=other[id(half)].volumes)
        for c, half in enumerate(whole)
        if c not in complex_of.values()
    ]
    orphans = [p for m, p in enumerate(phase) if m not in phase_of.values()]
    orphans += [r for n, r in enumerate(real) if n not in halves]
    orphans += [i for m, i in enumerate(imaginary) if m not in halves.values()]
    plans, left = _with_orphans(plans, orphans)
    return plans, notes + left


def _without_strangers(
    magnitude: Group, phase: Group
) -> tuple[tuple[Volume, ...], tuple[Volume, ...]]:
    """Return the magnitudes that belong to a phase, and those that came otherwise.

    An average of the echoes has a series and an echo time of its own, and no phase. It can be
    told from an echo that lost its phase only where the echoes share one series.
    """
    with_phase = tuple(v for v in magnitude.volumes if v.te_ms in phase.te_ms)
    others = tuple(v for v in magnitude.volumes if v.te_ms not in phase.te_ms)
    series = {v.first.series for v in with_phase}
    strangers = all(v.first.series not in series for v in others)
    if len(with_phase) > 1 and len(series) == 1 and strangers:
        return with_phase, others
    return magnitude.volumes, ()


def _with_orphans(plans: list[Plan], orphans: list[Group]) -> tuple[list[Plan], list[str]]:
    """Tell what is wrong with parts that found no partner.

    They are the problem of a magnitude that has no phase; else a note.
    """
    notes = []
    for orphan in orphans:
        alone = next((n for n, p in enumerate(plans) if p.magnitude == p.volumes), None)
        times = ", ".join("unknown" if t is None else f"{t:g}" for t in orphan.te_ms)
        if alone is not None and plans[alone].problem is None:
            wanted = ", ".join("unknown" if t is None else f"{t:g}" for t in plans[alone].te_ms)
            problem = (
                f"{orphan.lead.label}: its echo times ({times} ms) or sequence do not fit the "
                f"magnitude's ({wanted} ms)",
                "Export magnitude and phase of the same acquisition; or leave the phase out.",
            )
            plans[alone] = replace(plans[alone], problem=problem)
        elif not plans:
            plans.append(_unpaired(orphan))
        else:
            notes.append(f"{orphan.lead.label} left aside: no magnitude of the same acquisition")
    return plans, notes


def _unpaired(orphan: Group) -> Plan:
    """Return a plan that says what is missing when it is loaded."""
    missing = {
        "phase": "magnitude",
        "real": "imaginary part of the same echoes",
        "imag": "real part of the same echoes",
    }[orphan.lead.part]
    problem = (
        f"{orphan.lead.label} has no {missing} on the same grid",
        f"Export the {missing} too; both must come from one acquisition and reconstruction.",
    )
    if orphan.lead.part == "phase":
        return Plan(problem=problem, phase=orphan.volumes)
    if orphan.lead.part == "real":
        return Plan(problem=problem, real=orphan.volumes)
    return Plan(problem=problem, imaginary=orphan.volumes)


def _with_lost_parts(plans: list[Plan]) -> list[Plan]:
    """Say of a phase that has no grid, or half of one, what it lacks, at its magnitude."""
    out = list(plans)
    for orphan in (p for p in plans if p.phase and not p.magnitude):
        for n, plan in enumerate(out):
            have = {v.te_ms for v in plan.phase}
            lacks = plan.magnitude and any(v.te_ms not in have for v in orphan.phase)
            fault = _fault_between(plan, orphan) if lacks and plan.problem is None else None
            if fault is not None:
                mend = "Export the whole series again; or leave the phase out."
                out[n] = replace(plan, problem=(fault, mend))
                out.remove(orphan)
                break
    return out


def _fault_between(plan: Plan, orphan: Plan) -> str | None:
    """Return what keeps a phase from its magnitude's grid; None when they are strangers."""
    magnitude, phase = Group(volumes=plan.magnitude), Group(volumes=orphan.phase)
    one, other = magnitude.lead, phase.lead
    if (one.first.study, one.first.person) != (other.first.study, other.first.person):
        return None
    if not (_same_sequence(magnitude, phase) and _te_within(magnitude, phase)):
        return None
    if None in (one.first.position, one.first.orientation, one.first.pixel_mm):
        return None  # told when it is read
    if missing := what_places(other):
        return f"{other.label}: {missing} is missing or holds no finite numbers"
    ours, theirs = ({place_of(f) for f in v.frames} for v in (one, other))
    if one.first.size != other.first.size or not (ours < theirs or theirs < ours):
        return None
    few, many = sorted((one, other), key=n_places)
    have, need = n_places(few), n_places(many)
    return f"{few.label}: {have} slices, but {many.label} has {need}: {need - have} missing"


def _without_weak(plans: list[Plan]) -> tuple[list[Plan], list[str]]:
    """Leave aside what no microbleed shows on, when there is something better.

    That is a part without its magnitude, and a magnitude alone at an echo time too short
    for T2* weight (below 6 ms at 3 T).
    """
    strong, notes = [], []
    for plan in plans:
        why = _weakness(plan)
        if why is None:
            strong.append(plan)
        else:
            notes.append(f"{plan.volumes[0].label} left aside: {why}")
    return (strong, notes) if strong else (plans, [])


def _weakness(plan: Plan) -> str | None:
    if not plan.magnitude and not (plan.real and plan.imaginary):
        return "no magnitude on the same grid"
    times = [t for t in plan.te_ms if t is not None]
    b0_t = plan.volumes[0].facts.b0_t or 3.0
    if plan.magnitude == plan.volumes and plan.problem is None and times:
        longest = max(times)
        if longest * b0_t < 18.0:
            return f"no phase, and {longest:g} ms is too short for T2* weight"
    return None
