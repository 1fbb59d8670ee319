"""Boston criteria 2.0 for cerebral amyloid angiopathy, without their tiers that need tissue."""

from collections.abc import Sequence
from dataclasses import replace

from petechia.lesions.criteria.clinical import PRESENTATIONS, ClinicalFacts
from petechia.lesions.criteria.logic import Bounds, Claim, Input, numbers, settle
from petechia.lesions.criteria.places import bleeds
from petechia.lesions.findings import Finding

TIERS = ("not_met", "possible", "probable")
YOUNGEST = 50
PVS_ABOVE = 20
SPOTS_ABOVE = 10
DOI = "10.1016/S1474-4422(22)00208-3"
_ICH = "lobar_ich, deep_ich"
NOTE = (
    "Tiers that need tissue are not covered. Brainstem lesions count as deep, cerebellar ones "
    "neither way. Bleeds above 10 mm of the scan count as haemorrhages unless lobar_ich and "
    "deep_ich are told."
)


def tier(
    old_enough: bool,
    presents: bool,
    other_cause: bool,
    numbers_of_bleeds: tuple[int, int],
    ich: tuple[int, int],
    css_foci: int,
    csah_foci: int,
    many_pvs: bool,
    many_spots: bool,
) -> str:
    """Return the tier when everything is known.

    Parameters
    ----------
    old_enough, presents : bool
        Age of 50 or more; intracerebral haemorrhage, transient focal neurological episodes
        or cognitive impairment.
    other_cause : bool
        Another cause of the lesions.
    numbers_of_bleeds, ich : tuple of int
        Lobar and deep ones, of the scan and of the clinical facts.
    css_foci, csah_foci : int
    many_pvs, many_spots : bool
        White-matter features.

    References
    ----------
    .. [1] Charidimou et al. (2022), Lancet Neurology 21, 714-725,
       doi:10.1016/S1474-4422(22)00208-3.
    """
    deep = numbers_of_bleeds[1] + ich[1]
    if not old_enough or not presents or other_cause or deep:
        return "not_met"
    foci = numbers_of_bleeds[0] + ich[0] + css_foci + csah_foci
    feature = many_pvs or many_spots
    if foci >= 2 or (foci and feature):
        return "probable"
    return "possible" if foci or feature else "not_met"


def boston(findings: Sequence[Finding], facts: ClinicalFacts, *, assessable: bool = True) -> Claim:
    """Return the claim for counted microbleeds and macrobleeds of a scan and clinical facts."""
    inputs = (
        _age(facts),
        _presentation(facts),
        facts.yes_no("other_cause"),
        bleeds(_entering(findings, facts), (2, 1), assessable=assessable, name="bleeds_on_scan"),
        _ich(findings, facts),
        facts.given("css_foci", numbers(_css_foci(facts), 2)),
        facts.count("csah_foci", 2),
        facts.count_above("centrum_semiovale_pvs", PVS_ABOVE),
        facts.count_above("subcortical_spots", SPOTS_ABOVE),
    )
    found, missing = settle(tier, inputs)
    return Claim(
        scale="boston_2",
        could_be=tuple(t for t in TIERS if t in found),
        missing=tuple(field for name in missing for field in name.split(", ")),
        inputs=inputs,
        nothing=("not_met",),
        doi=DOI,
        note=NOTE,
    )


def _age(facts: ClinicalFacts) -> Input:
    age = facts.values.get("age_years")
    return facts.given("age_years", (False, True) if age is None else (age >= YOUNGEST,))


def _presentation(facts: ClinicalFacts) -> Input:
    word = facts.values.get("presentation")
    known = (word in PRESENTATIONS[:3],)
    return facts.given("presentation", (False, True) if word is None else known)


def _entering(findings: Sequence[Finding], facts: ClinicalFacts) -> list[Finding]:
    """Return the scan's bleeds that count: told haemorrhages stand in for its macrobleeds."""
    told = {
        "lobar": "lobar_ich" in facts.values,
        "deep": "deep_ich" in facts.values,
        "infratentorial": "deep_ich" in facts.values,
        "n/a": "lobar_ich" in facts.values and "deep_ich" in facts.values,
    }
    large = (f for f in findings if f.is_hematoma and not told[f.compartment])
    return [*(f for f in findings if f.counted), *large]


def _ich(findings: Sequence[Finding], facts: ClinicalFacts) -> Input:
    """Return the told haemorrhages, lobar and deep.

    One who came with a haemorrhage has one: where neither the facts nor a macrobleed of the
    scan say where it is, it may be anywhere. So it is when nobody told what they came with.
    """
    lobar, deep = (
        numbers(facts.bounds(name), cap) if name in facts.values else (0,)
        for name, cap in (("lobar_ich", 2), ("deep_ich", 1))
    )
    values = [(a, b) for a in lobar for b in deep]
    known = any(f.is_hematoma for f in findings)
    unplaced = facts.values.get("presentation", PRESENTATIONS[0]) == PRESENTATIONS[0] and not known
    if unplaced and values == [(0, 0)]:
        more = [(1, 0)] * ("lobar_ich" not in facts.values)
        values += more + [(0, 1)] * ("deep_ich" not in facts.values)
    names = [n for n in ("lobar_ich", "deep_ich") if n in facts.told]
    told = ", ".join(f"{n.split('_')[0]} {facts.told[n]}" for n in names)
    made = Input(name=_ICH, values=tuple(values))
    return replace(made, source="clinical", told=told) if told else made


def _css_foci(facts: ClinicalFacts) -> Bounds:
    if "css_foci" in facts.values:
        return facts.bounds("css_foci")
    extent = facts.values.get("css")
    return (0, None) if extent is None else (0, 0) if extent == "none" else (1, None)
