"""What is known of one void, and what follows from it by physics alone."""

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from petechia.lesions.context import Context
from petechia.lesions.dephasing import Dephasing, both
from petechia.lesions.inputs import RegionLike
from petechia.lesions.moment import MomentFit
from petechia.lesions.shape import Shape
from petechia.lesions.thread import Thread
from petechia.lesions.tube import Tube

CLEAR = 3.0
"""A sign is clear when the moment is at least so many times its error."""
CALCIUM_PPM, WIDE_MM = (0.06, 3.0), 5.0
"""Mean susceptibility of a calcification over its void, from and to. In a void wider than this [mm]
less may be tissue's own, as that of white matter between fluid is; more has no calcium salt.
True ones of simulated heads have 0.15 to 0.95."""
SPHERE = 0.8
"""Sphericity from which a void is called round; a spheroid twice as long as wide has 0.79."""
LARGE_MM, LARGE_FIT, LARGE_CLEAR, LARGE_WITHIN = 6.5, 0.9, 5.0, 0.5
"""Width [mm], share of the field explained, moment over its error and share of tissue around of a
round void that is a large bleed by its field. The 204 simulated heads hold ten such voids, too
few to learn from: all are bleeds, three of them wider than 10 mm."""
LITTLE_PPM_MM3, LITTLE_ERROR, LITTLE_PROBABILITY = 0.1, 0.35, 0.05
"""A moment below the first [ppm mm^3], known to an error below the second, is too little for a
microbleed: at 3 T and 40 ms, or 7 T and 17 ms, its phase passes 1 rad within 0.8 mm of it. None of
2601 visible microbleeds of simulated people that were not trained on truly had less. Small spots
with so little have the third as their probability at most."""
SMALL_MM = 2.0
"""Below it a spot is smaller than a microbleed appears."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """All that is known of one void.

    Attributes
    ----------
    shape : Shape
        Size and form.
    noise : float
        Spread of relative signal in undisturbed tissue.
    tube : Tube
        Continuation in the magnitude.
    thread : Thread
        The dark region that it is a part of; by default none was looked for.
    tube_chi : Tube or None
        Continuation in the susceptibility.
    vessel : float or None
        Mean likeness to a vein over the void, 0 to 1.
    fit : MomentFit or None
        What the field around says.
    dephasing : Dephasing or None
        What the void itself says of the moment, where the field told that it is blood.
    filtered_fit : MomentFit or None
        What phase says that was high-pass filtered: of its sign only.
    as_given : MomentFit or None
        The same where the handedness of that phase is unknown: of no sign.
    phase : str
        "signed", "unsigned" (handedness unknown) or "none".
    chi_ppm : float or None
        Mean susceptibility over the void [ppm].
    region : RegionLike or None
        Where it lies.
    context : Context or None
        What it lies near or in.
    voxel_mm3 : float
        Volume of a voxel [mm^3].
    radians_per_ppm : float
        Phase that 1 ppm gathers until the reading echo [rad].
    """

    shape: Shape
    noise: float
    tube: Tube
    thread: Thread = field(default_factory=Thread)
    tube_chi: Tube | None = None
    vessel: float | None = None
    fit: MomentFit | None = None
    dephasing: Dephasing | None = None
    filtered_fit: MomentFit | None = None
    as_given: MomentFit | None = None
    phase: str = "none"
    chi_ppm: float | None = None
    region: RegionLike | None = None
    context: Context | None = None
    voxel_mm3: float = 1.0
    radians_per_ppm: float = 16.0

    @property
    def compactness(self) -> float:
        """Depth over the depth that the moment would give if it sat in one point.

        About 1 for a microbleed; less when the iron is spread out. A point's void is as
        deep as its moment, times the phase of 1 ppm, over the voxel, up to full.
        """
        if self.fit is None:
            return 1.0
        phase_volume = abs(self.fit.moment_ppm_mm3) * self.radians_per_ppm
        expected = float(np.clip(0.064 * phase_volume / self.voxel_mm3, 0.05, 1.0))
        return self.shape.depth / expected

    @property
    def moment(self) -> tuple[float, float] | None:
        """Moment and standard error by field and void [ppm mm^3]; None without a field."""
        if self.fit is None:
            return None
        by_field, void = (self.fit.moment_ppm_mm3, self.fit.se_ppm_mm3), self.dephasing
        if void is None:
            return by_field
        return both(by_field, (void.moment_ppm_mm3, void.se_ppm_mm3), form=self.fit.form_ppm_mm3)

    def with_filtered(self, fit: MomentFit | None, *, known: bool) -> Self:
        """Return it with what filtered phase says, of known handedness or not."""
        return replace(self, filtered_fit=fit if known else None, as_given=None if known else fit)

    @property
    def like_tissue(self) -> bool:
        """Whether a wide void's moment, as far as it is known, may be that of normal tissue."""
        if self.fit is None or self.shape.diameter_mm <= WIDE_MM:
            return False
        return abs(self.fit.moment_ppm_mm3) < CALCIUM_PPM[0] * self.shape.volume_mm3

    @property
    def large_bleed(self) -> bool:
        """Whether a large round void makes the field of one paramagnetic sphere and little else."""
        fit, s = self.fit, self.shape
        return (
            self.phase == "signed"
            and fit is not None
            and fit.significance >= LARGE_CLEAR
            and fit.explained >= LARGE_FIT
            and s.diameter_mm > LARGE_MM
            and s.sphericity >= SPHERE
            and s.parenchyma_fraction >= LARGE_WITHIN
        )

    @property
    def too_little(self) -> bool:
        """Whether a small spot's moment is known, and less than that of any microbleed."""
        small = self.shape.diameter_mm < SMALL_MM
        if self.phase != "signed" or self.moment is None or not small:
            return False
        moment, error = self.moment
        return moment < LITTLE_PPM_MM3 and error < LITTLE_ERROR

    @property
    def through(self) -> float:
        """Strongest continuation on opposite sides, in any image."""
        chi = self.tube_chi.through if self.tube_chi else 0.0
        return max(self.tube.through, chi)
