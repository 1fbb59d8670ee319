"""Where everything is: by the best anatomy there is beside a scan, else by the scan itself."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from petechia.anatomy.companion import through_companion
from petechia.anatomy.deformation import deform
from petechia.anatomy.outline import by_outline
from petechia.anatomy.regions import Regions, label_regions, regions_from_segmentation
from petechia.anatomy.registration import Registration, register
from petechia.anatomy.segmentation import regions_of_segmentation
from petechia.anatomy.template import Template
from petechia.core.grid import Grid
from petechia.core.morphology import Mask
from petechia.errors import PetechiaError, UnfitError
from petechia.files.beside import read_segmentation
from petechia.files.scan import Beside
from petechia.pipeline.companions import Companions

LEAST_ALIKE = 0.6
"""Part of the brain at which a segmentation and the scan's own affine fit name one site."""
HOW = {
    "segmentation": ("segmentation", "a segmentation of the same person, by MARS's sites"),
    "T1w": ("registration to ICBM 2009c by way of the T1w scan", "rigid, affine, then demons"),
    "T2w": ("registration to ICBM 2009c by way of the T2w scan", "rigid, affine, then demons"),
    "own": ("registration to ICBM 2009c", "mutual information, then demons"),
    "outline": ("registration of the brain's outline to ICBM 2009c", "affine"),
}
"""By what sites were found: for the methods text of the report."""
BY_OUTLINE = (
    "Sites were placed by the outline of the brain alone: near their borders they may be wrong, "
    "and nuclei are not read."
)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Sites:
    """Where everything is, and how it was found.

    Attributes
    ----------
    registration : Registration
        Scan to template.
    regions : Regions
        The labels.
    by : str
        A key of `HOW`.
    says : tuple of str
        What lay beside the scan and was not used, and why; that only the outline tells.
    """

    registration: Registration
    regions: Regions
    by: str
    says: tuple[str, ...] = ()


def find_sites(
    magnitude: np.ndarray,
    mask: Mask,
    grid: Grid,
    template: Template,
    beside: Beside,
    fit: Registration | None = None,
    companions: Companions | None = None,
    *,
    outline_tells: bool,
) -> Sites:
    """Find the registration and the regions of a scan.

    A segmentation of the same person comes first, then a T1w scan, then a T2w scan, then the
    scan's own contrast, then the outline of a brain mask that was not made by way of the template.
    What lies beside but does not fit the scan is left out, and said.

    Parameters
    ----------
    magnitude : (I, J, K) ndarray of float
        Echoes combined.
    mask : (I, J, K) ndarray of bool
        Brain.
    grid : Grid
        Geometry.
    template : Template
        What is registered to.
    beside : Beside
        What else there is of the person.
    fit : Registration, optional
        The scan's affine fit, where the brain mask has made one.
    companions : Companions, optional
        What else there is, where some of it may be registered already.
    outline_tells : bool
        The mask was not made by way of the template: its outline may place it.
    """
    others = companions or Companions(beside, magnitude, grid)
    fit = fit or register(magnitude, grid, template, mask=mask)
    says: list[str] = []
    if beside.segmentation is not None:
        try:
            regions = _segmented(beside.segmentation, others, mask, grid, fit)
        except PetechiaError as error:
            says.append(f"{beside.segmentation.name} was not used: {error.what}.")
        else:
            why = regions.says if not regions.ok else _doubt(regions, fit, template, mask)
            if not why:
                return Sites(registration=fit, regions=regions, by="segmentation")
            says.append(f"{beside.segmentation.name} was not used: {why.rstrip('.')}.")
    for name in ("T1w", "T2w"):
        if name not in others.sources:
            continue
        found = _by_way_of(name, others, fit, mask, template)
        if isinstance(found, Registration):
            regions = label_regions(found, template, mask, grid)
            return Sites(registration=found, regions=regions, by=name, says=tuple(says))
        says.append(f"{others.sources[name].name} was not used: {found}.")
    by = "own"
    if outline_tells and not fit.ok:
        fit = by_outline(mask, template, fit)
        by = "outline" if fit.ok else "own"
        says += [BY_OUTLINE] * fit.ok
    else:
        fit = deform(fit, magnitude, mask, template)
    regions = label_regions(fit, template, mask, grid)
    return Sites(registration=fit, regions=regions, by=by, says=tuple(says))


def _by_way_of(
    name: str, others: Companions, fit: Registration, mask: Mask, there: Template
) -> Registration | str:
    """Return the registration by way of a T1w or T2w scan, or why there is none."""
    found = others.registered(name)
    if isinstance(found, str):
        return found
    rigid = found.rigid, found.peak
    try:
        return through_companion(fit, rigid, mask, found.image, found.grid, there, name)
    except PetechiaError as error:
        return error.what.rstrip(".")


def _segmented(
    path: Path, others: Companions, mask: Mask, grid: Grid, fit: Registration
) -> Regions:
    """Return regions by a segmentation; a T1w scan beside it tells how the head has moved."""
    labels, own = read_segmentation(path)
    found = others.registered("T1w") if "T1w" in others.sources else ""
    motion = None if isinstance(found, str) else found.rigid
    if motion is None and not fit.ok:
        raise UnfitError(
            f"nothing tells whether it lies where the scan does ({fit.says})",
            where="segmentation",
            mend="Give the T1w scan that it was made from, too.",
        )
    sites = regions_of_segmentation(labels, own)
    return regions_from_segmentation(sites, own, mask, grid, motion)


def _doubt(regions: Regions, fit: Registration, template: Template, mask: Mask) -> str:
    """Return why sites by a segmentation are doubted; nothing when the scan's own fit agrees."""
    if not fit.ok:
        return ""
    own = label_regions(fit, template, mask, regions.grid).labels
    both = (own > 0) & (regions.labels > 0)
    alike = float(np.mean(own[both] == regions.labels[both])) if both.any() else 0.0
    if alike >= LEAST_ALIKE:
        return ""
    return f"only {alike:.0%} of its sites are where the scan's own fit puts them"
