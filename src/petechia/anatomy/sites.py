"""The regions of the brain that a microbleed is counted by: MARS sites, side and compartment.

MARS (the Microbleed Anatomical Rating Scale) counts by twelve paired sites and an unsplit
brainstem, grouped into lobar, deep and infratentorial. The words are those of the output
contract. Ventricles carry labels of their own, without a site: a dark spot there is choroid
plexus, not parenchyma.

References
----------
Gregoire et al. 2009, 10.1212/WNL.0b013e3181c34a7d (MARS);
Cordonnier et al. 2009, 10.1161/STROKEAHA.108.526996 (BOMBS)
"""

from dataclasses import dataclass

COMPARTMENT_OF = {
    "frontal": "lobar",
    "parietal": "lobar",
    "temporal": "lobar",
    "occipital": "lobar",
    "insula": "lobar",
    "basal_ganglia": "deep",
    "thalamus": "deep",
    "internal_capsule": "deep",
    "external_capsule": "deep",
    "corpus_callosum": "deep",
    "deep_periventricular_wm": "deep",
    "brainstem": "infratentorial",
    "cerebellum": "infratentorial",
}
"""Site to compartment, in the order of the contract."""

SIDES = ("left", "right", "midline", "n/a")


@dataclass(frozen=True, slots=True)
class Region:
    """One label of the region map.

    Attributes
    ----------
    index : int
        Voxel value.
    name : str
        For people: 'left frontal'.
    site : str
        A MARS site, or 'n/a' for a ventricle.
    side : str
        'left' (x < 0 in RAS), 'right' or 'midline'.
    compartment : str
        'lobar', 'deep', 'infratentorial' or 'n/a'.
    """

    index: int
    name: str
    site: str
    side: str
    compartment: str


def _table() -> tuple[Region, ...]:
    rows: list[tuple[str, str, str]] = []
    for site in COMPARTMENT_OF:
        sides = ("midline",) if site == "brainstem" else ("left", "right")
        rows += [(site, side, site.replace("_", " ")) for side in sides]
    rows += [("n/a", "left", "lateral ventricle"), ("n/a", "right", "lateral ventricle")]
    rows += [("n/a", "midline", "third and fourth ventricle")]
    return tuple(
        Region(
            index=n,
            name=words if side == "midline" else f"{side} {words}".replace(" wm", " white matter"),
            site=site,
            side=side,
            compartment=COMPARTMENT_OF.get(site, "n/a"),
        )
        for n, (site, side, words) in enumerate(rows, start=1)
    )


REGIONS = _table()
"""Every label, by index from 1; 0 is outside the brain."""


def label_of(site: str, side: str) -> int:
    """Return the label of a site on a side; `KeyError` when there is none."""
    for region in REGIONS:
        if (region.site, region.side) == (site, side) and region.site != "n/a":
            return region.index
    raise KeyError(f"no region {site!r} on side {side!r}")


VENTRICLE_LABELS = tuple(region.index for region in REGIONS if region.site == "n/a")
