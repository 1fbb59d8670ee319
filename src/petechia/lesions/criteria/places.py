"""Where a patient's bleeds lie, as far as it is known: lobar, deep, or neither."""

from collections.abc import Sequence

from petechia.lesions.criteria.logic import Input
from petechia.lesions.findings import Finding

Place = frozenset[str]
"""What a bleed may be: of "lobar", "deep", "neither"; one when it is known."""

LOBAR, DEEP, NEITHER = "lobar", "deep", "neither"


def place_of(finding: Finding) -> Place:
    """Return what a finding may be: the brainstem is deep, the cerebellum neither.

    As in the Boston criteria 2.0, which count cerebellar lesions neither way. What may be calcium
    may be no bleed at all.
    """
    place = _where(finding)
    return place | {NEITHER} if finding.may_be_calcium else place


def _where(finding: Finding) -> Place:
    if finding.compartment in (LOBAR, DEEP):
        return frozenset({finding.compartment})
    if finding.compartment == "infratentorial":
        known = {"brainstem": DEEP, "cerebellum": NEITHER}.get(finding.site)
        return frozenset({known}) if known else frozenset({DEEP, NEITHER})
    return frozenset({LOBAR, DEEP, NEITHER})


def numbers_of(places: Sequence[Place], cap: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Return every (lobar, deep) that the numbers may be, each at most `cap`."""
    possible = {(0, 0)}
    for place in places:
        possible = {
            (
                min(cap[0], lobar + (choice == LOBAR)),
                min(cap[1], deep + (choice == DEEP)),
            )
            for lobar, deep in possible
            for choice in place
        }
    return tuple(sorted(possible))


def bleeds(
    findings: Sequence[Finding], cap: tuple[int, int], *, assessable: bool, name: str
) -> Input:
    """Return the numbers of lobar and deep bleeds among `findings` as one input."""
    if not assessable:
        every = tuple((a, b) for a in range(cap[0] + 1) for b in range(cap[1] + 1))
        return Input(name=name, values=every)
    known = [place_of(finding) for finding in findings if not finding.may_be_calcium]
    maybe = [place_of(finding) for finding in findings if finding.may_be_calcium]
    lobar, deep = (sum(place == {word} for place in known) for word in (LOBAR, DEEP))
    unsure = sum(len(place) > 1 for place in known)
    told = f"{lobar} lobar, {deep} deep"
    told += f", {unsure} at an unknown site" if unsure else ""
    told += f", {len(maybe)} that may be calcium" if maybe else ""
    return Input(name=name, values=numbers_of([*known, *maybe], cap), source="scan", told=told)
