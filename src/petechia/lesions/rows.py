"""From named voids and sheets to the rows of the table of findings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from petechia.lesions.classify import Verdict
from petechia.lesions.context import Context
from petechia.lesions.criteria import lesion_criteria, mars_grade
from petechia.lesions.findings import NO_CALCIUM_PLACE, Finding
from petechia.lesions.inputs import LesionInputs
from petechia.lesions.known import Features
from petechia.lesions.params import DetectParams
from petechia.lesions.shape import in_plane_diameter
from petechia.lesions.siderosis import Sheet
from petechia.lesions.void import Void


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Measured:
    """One void with everything measured on it: what the classifier saw.

    `joined` tells that it was put together from several.
    """

    void: Void
    features: Features
    verdict: Verdict
    joined: bool = False

    @property
    def order(self) -> tuple[float, ...]:
        """Key that sorts the most probable first.

        Hundreds of veins share a probability of 0.000: they go by log-odds, or the array's first
        axis would choose which side of the head the table tells of. Rounded, so that the last bits
        do not matter; what is equal even then goes by place.
        """
        verdict = self.verdict
        total = round(sum(verdict.terms.values()), 3)
        return (-round(verdict.probability, 3), -total, *self.void.seed_vox.tolist())


def findings(
    kept: Sequence[Measured], inputs: LesionInputs, params: DetectParams
) -> tuple[Finding, ...]:
    """Return the rows of the table."""
    numbers: dict[str, int] = {}
    out = []
    for n, m in enumerate(kept):
        kind = m.verdict.class_
        numbers[kind] = numbers.get(kind, 0) + 1
        name = f"{kind.replace('_', ' ')} {numbers[kind]}"
        out.append(_finding(n + 1, name, m, inputs, params))
    return tuple(out)


def _finding(
    index: int, name: str, m: Measured, inputs: LesionInputs, params: DetectParams
) -> Finding:
    f, s = m.features, m.features.shape
    x, y, z = inputs.grid.to_mm(m.void.body.mean(axis=0)).tolist()
    # judged as they are printed
    criteria = lesion_criteria(
        round(s.diameter_mm, 1), round(s.sphericity, 2), round(s.margin_sharpness, 2),
        round(s.homogeneity, 2), round(s.parenchyma_fraction, 2), params.criteria,
    ) | {NO_CALCIUM_PLACE: _calcium_place(f.context)}  # fmt: skip
    told = f.fit if f.phase == "signed" else None
    moment, error = f.moment if told is not None and f.moment else (None, None)
    source = None
    if told is not None:
        corner = np.rint(m.void.body.mean(axis=0) - np.asarray(s.centre_vox))
        i, j, k = inputs.grid.to_mm(np.asarray(told.place_vox) + corner).tolist()
        source = (i, j, k)
    kind = m.verdict.class_
    return Finding(
        index=index,
        name=name,
        class_=kind,
        sign=m.verdict.sign,
        probability=round(m.verdict.probability, 3),
        counted=kind == "microbleed" and round(m.verdict.probability, 3) >= params.threshold,
        mars=mars_grade(kind, criteria),
        x_mm=x,
        y_mm=y,
        z_mm=z,
        volume_mm3=s.volume_mm3,
        diameter_mm=s.diameter_mm,
        moment_ppm_mm3=moment,
        moment_se_ppm_mm3=error,
        chi_mean_ppm=f.chi_ppm if f.phase == "signed" else None,
        side=f.region.side if f.region else "n/a",
        site=f.region.site if f.region else "n/a",
        compartment=f.region.compartment if f.region else "n/a",
        parenchyma_fraction=s.parenchyma_fraction,
        sphericity=s.sphericity,
        margin_sharpness=s.margin_sharpness,
        homogeneity=s.homogeneity,
        evidence=m.verdict.evidence,
        criteria=criteria,
        source_mm=source,
    )


def _calcium_place(context: Context | None) -> str:
    """Return whether a finding meets the criterion to lie where calcium is not usual."""
    structure = context.structure if context is not None else None
    return "not assessed" if structure is None else "not met" if structure else "met"


def siderosis_row(index: int, name: str, sheet: Sheet, inputs: LesionInputs) -> Finding:
    """Return the row of a sheet: for the reader, never counted."""
    body = sheet.body
    x, y, z = inputs.grid.to_mm(body.mean(axis=0)).tolist()
    middle = body[np.argmin(((body - body.mean(axis=0)) ** 2).sum(axis=1))].tolist()
    region = inputs.region_of((middle[0], middle[1], middle[2])) if inputs.region_of else None
    return Finding(
        index=index,
        name=name,
        class_="siderosis",
        sign="paramagnetic" if sheet.chi_ppm is not None else "unclear",
        probability=0.0,
        counted=False,
        mars="n/a",
        x_mm=x,
        y_mm=y,
        z_mm=z,
        volume_mm3=sheet.volume_mm3,
        diameter_mm=in_plane_diameter(body, inputs.grid),
        moment_ppm_mm3=None,
        moment_se_ppm_mm3=None,
        chi_mean_ppm=sheet.chi_ppm,
        side=region.side if region else "n/a",
        site=region.site if region else "n/a",
        compartment=region.compartment if region else "n/a",
        parenchyma_fraction=None,
        sphericity=None,
        margin_sharpness=None,
        homogeneity=None,
        evidence=sheet.evidence(),
    )
