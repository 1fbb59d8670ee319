"""ARIA-H: haemorrhagic imaging abnormalities under treatment against amyloid, by severity.

New since the *treatment baseline*, all that were ever seen, not since the last scan.
"""

from collections.abc import Sequence

from petechia.lesions.criteria.clinical import ClinicalFacts, as_range
from petechia.lesions.criteria.logic import Bounds, Claim, Input, numbers, settle
from petechia.lesions.findings import Finding

GRADES = ("not_applicable", "none", "mild", "moderate", "severe")
MICRO_FROM = {"mild": 1, "moderate": 5, "severe": 10}
SIDEROSIS_FROM = {"mild": 1, "moderate": 2, "severe": 3}
DOI = "10.3174/ajnr.A7586"
NOTE = (
    "Counts new ones since the scan before treatment, not since the last scan. A haemorrhage above "
    "10 mm is no part of this grade and is reported on its own. Says nothing about treatment."
)


def grade(treated: bool, new_microbleeds: int, new_siderosis: int) -> str:
    """Return the grade when everything is known: the worse of the two.

    References
    ----------
    .. [1] Cogswell et al. (2022), AJNR 43, E19-E35, doi:10.3174/ajnr.A7586.
    """
    if not treated:
        return "not_applicable"
    ranks = (
        sum(number >= least for least in steps.values())
        for number, steps in ((new_microbleeds, MICRO_FROM), (new_siderosis, SIDEROSIS_FROM))
    )
    return GRADES[1 + max(ranks)]


def aria_h(findings: Sequence[Finding], facts: ClinicalFacts, *, assessable: bool = True) -> Claim:
    """Return the claim: new ones are told, or at least those above the count at baseline."""
    return _claim(
        (
            facts.yes_no("amyloid_immunotherapy"),
            _new(findings, facts, assessable),
            facts.count("new_siderosis_foci", SIDEROSIS_FROM["severe"]),
        )
    )


def aria_h_between(new_microbleeds: Bounds | None, new_siderosis: Bounds | None) -> Claim:
    """Return the claim of what two scans show, as if the first were that before treatment.

    Parameters
    ----------
    new_microbleeds, new_siderosis : (int, int or None), or None
        Least and greatest number of new ones by the scans; None where it is not known.

    Notes
    -----
    That the person is treated is the assumption, and its source is called "assumed".
    """
    treated = Input(name="amyloid_immunotherapy", values=(True,), source="assumed", told="yes")
    return _claim(
        (
            treated,
            _seen("new_microhemorrhages", new_microbleeds, MICRO_FROM["severe"]),
            _seen("new_siderosis_foci", new_siderosis, SIDEROSIS_FROM["severe"]),
        )
    )


def _seen(name: str, bounds: Bounds | None, cap: int) -> Input:
    """Return a number that scans tell as an input."""
    if bounds is None:
        return Input(name=name, values=numbers((0, None), cap))
    return Input(name=name, values=numbers(bounds, cap), source="scan", told=as_range(bounds))


def _claim(inputs: tuple[Input, ...]) -> Claim:
    found, missing = settle(grade, inputs)
    return Claim(
        scale="aria_h",
        could_be=tuple(g for g in GRADES if g in found),
        missing=missing,
        inputs=inputs,
        nothing=("not_applicable", "none"),
        doi=DOI,
        note=NOTE,
    )


def _new(findings: Sequence[Finding], facts: ClinicalFacts, assessable: bool) -> Input:
    cap = MICRO_FROM["severe"]
    if "new_microhemorrhages" in facts.values or "baseline_microhemorrhages" not in facts.values:
        return facts.count("new_microhemorrhages", cap)
    _, most_then = facts.bounds("baseline_microhemorrhages")
    now = sum(f.counted for f in findings) if assessable else 0
    least = 0 if most_then is None else max(0, now - most_then)
    then = facts.told["baseline_microhemorrhages"]
    told = f"at least {least} ({now} counted, {then} at baseline)" if assessable else ""
    return Input(
        name="new_microhemorrhages",
        values=numbers((least, None), cap),
        source="scan" if told else "",
        told=told,
    )
