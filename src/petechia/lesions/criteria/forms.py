"""The two rating forms of microbleeds, filled from the counted findings."""

from collections.abc import Sequence
from typing import Any

from petechia.lesions.findings import Finding

SIDES = ("right", "left", "midline", "n/a")
MARS_ROWS: dict[str, tuple[str, ...]] = {
    "infratentorial": ("brainstem", "cerebellum"),
    "deep": (
        "basal_ganglia", "thalamus", "internal_capsule", "external_capsule", "corpus_callosum",
        "deep_periventricular_wm",
    ),
    "lobar": ("frontal", "parietal", "temporal", "occipital", "insula"),
    "n/a": ("n/a",),
}  # fmt: skip
BOMBS_ROWS: dict[str, tuple[str, ...]] = {
    "lobar": ("frontal", "parietal", "temporal", "occipital", "insula"),
    "basal_ganglia_grey": ("basal_ganglia",),
    "internal_external_capsule": ("internal_capsule", "external_capsule"),
    "thalamus": ("thalamus",),
    "brainstem": ("brainstem",),
    "cerebellum": ("cerebellum",),
    "no_row": ("corpus_callosum", "deep_periventricular_wm", "n/a"),
}
SMALL_BELOW_MM = 5.0
BOMBS_NOTE = (
    "Cortex or grey-white junction and subcortical white matter are one row: the scan does not "
    "tell them apart. no_row: corpus callosum, deep and periventricular white matter and unknown "
    "sites, for which the form has no row. Certain and uncertain are MARS's definite and possible."
)


def mars_form(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return one row per site: compartment, site, and numbers by grade and side.

    References
    ----------
    .. [1] Gregoire et al. (2009), Neurology 73, 1759-1766,
       doi:10.1212/WNL.0b013e3181c34a7d.
    """
    counted = [f for f in findings if f.counted]
    rows: list[dict[str, Any]] = []
    for compartment, sites in MARS_ROWS.items():
        for site in sites:
            here = [f for f in counted if f.site == site]
            row: dict[str, Any] = {"compartment": compartment, "site": site}
            for grade in ("definite", "possible"):
                row[grade] = {
                    side: sum(f.mars == grade and f.side == side for f in here) for side in SIDES
                }
            rows.append(row)
    return rows


def bombs_form(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return one row per place: numbers by certainty, size (below 5, 5 to 10 mm) and side.

    References
    ----------
    .. [1] Cordonnier et al. (2009), Stroke 40, 94-99, doi:10.1161/STROKEAHA.108.526996.
    """
    counted = [f for f in findings if f.counted]
    rows: list[dict[str, Any]] = []
    for place, sites in BOMBS_ROWS.items():
        here = [f for f in counted if f.site in sites]
        row: dict[str, Any] = {"place": place}
        for word, grade in (("certain", "definite"), ("uncertain", "possible")):
            for size, small in (("below_5_mm", True), ("5_to_10_mm", False)):
                row[f"{word}_{size}"] = {
                    side: sum(
                        f.mars == grade
                        and f.side == side
                        and (round(f.diameter_mm, 1) < SMALL_BELOW_MM) == small
                        for f in here
                    )
                    for side in SIDES
                }
        rows.append(row)
    return rows
