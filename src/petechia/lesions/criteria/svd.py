"""Sums of the markers of small-vessel disease: the total score, that of amyloid angiopathy."""

from collections.abc import Sequence

from petechia.lesions.criteria.clinical import SIDEROSIS, ClinicalFacts
from petechia.lesions.criteria.logic import Claim, Input, settle
from petechia.lesions.criteria.places import bleeds
from petechia.lesions.findings import Finding

TOTAL_DOI = "10.1212/WNL.0000000000000837"
CAA_DOI = "10.1001/jamaneurol.2016.0832"
CSO_PVS_ABOVE = 20
TOTAL_NOTE = "Perivascular spaces of the basal ganglia: one point above {cutoff}."
CAA_NOTE = "Made for people with cerebral amyloid angiopathy."


def white_matter(periventricular: int, deep: int) -> bool:
    """Return whether hyperintensities give a point: periventricular Fazekas 3, or deep 2 or 3."""
    return periventricular == 3 or deep >= 2


def total_score(
    any_microbleed: bool, any_lacune: bool, periventricular: int, deep: int, many_pvs: bool
) -> int:
    """Return the total score, 0 to 4, when everything is known.

    References
    ----------
    .. [1] Staals et al. (2014), Neurology 83, 1228-1234, doi:10.1212/WNL.0000000000000837.
    """
    return any_microbleed + any_lacune + white_matter(periventricular, deep) + many_pvs


def caa_score(
    bleeds_lobar_deep: tuple[int, int],
    siderosis: int,
    many_pvs: bool,
    periventricular: int,
    deep: int,
) -> int:
    """Return the score of amyloid angiopathy, 0 to 6, when everything is known.

    References
    ----------
    .. [1] Charidimou et al. (2016), JAMA Neurology 73, 994-1001,
       doi:10.1001/jamaneurol.2016.0832.
    """
    lobar = bleeds_lobar_deep[0]
    points = 2 if lobar >= 5 else 1 if lobar >= 2 else 0
    return points + siderosis + many_pvs + white_matter(periventricular, deep)


def total_svd(
    findings: Sequence[Finding],
    facts: ClinicalFacts,
    *,
    pvs_above: int = 10,
    assessable: bool = True,
) -> Claim:
    """Return the claim for the total score; `pvs_above`: sources have 10 or 20."""
    counted = [f for f in findings if f.counted]
    n, maybe = len(counted), sum(f.may_be_calcium for f in counted)
    microbleeds = Input(name="microbleeds_on_scan", values=(False, True))
    if assessable:
        microbleeds = Input(
            name="microbleeds_on_scan",
            values=(False, True) if 0 < n == maybe else (n > 0,),
            source="scan",
            told=f"{n} counted" + (f", {maybe} that may be calcium" if maybe else ""),
        )
    inputs = (
        microbleeds,
        facts.count_above("lacunes", 0),
        facts.grade("fazekas_periventricular"),
        facts.grade("fazekas_deep"),
        facts.count_above("basal_ganglia_pvs", pvs_above),
    )
    found, missing = settle(total_score, inputs)
    return Claim(
        scale="total_svd",
        could_be=tuple(sorted(found)),
        missing=missing,
        inputs=inputs,
        nothing=(0,),
        doi=TOTAL_DOI,
        note=TOTAL_NOTE.format(cutoff=pvs_above),
    )


def caa_svd(findings: Sequence[Finding], facts: ClinicalFacts, *, assessable: bool = True) -> Claim:
    """Return the claim for the score of amyloid angiopathy."""
    counted = [f for f in findings if f.counted]
    inputs = (
        bleeds(counted, (5, 0), assessable=assessable, name="microbleeds_on_scan"),
        _siderosis(facts),
        facts.count_above("centrum_semiovale_pvs", CSO_PVS_ABOVE),
        facts.grade("fazekas_periventricular"),
        facts.grade("fazekas_deep"),
    )
    found, missing = settle(caa_score, inputs)
    return Claim(
        scale="caa_svd",
        could_be=tuple(sorted(found)),
        missing=missing,
        inputs=inputs,
        nothing=(0,),
        doi=CAA_DOI,
        note=CAA_NOTE,
    )


def _siderosis(facts: ClinicalFacts) -> Input:
    """Return the points of siderosis: 0, focal 1, disseminated 2; foci tell if there is any."""
    if "css" in facts.values:
        return facts.given("css", (SIDEROSIS.index(facts.values["css"]),))
    low, high = facts.bounds("css_foci")
    values = (0,) if high == 0 else (1, 2) if low else (0, 1, 2)
    return facts.given("css", values)
