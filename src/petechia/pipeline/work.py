"""What is known about one scan while it goes down the road."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.anatomy.brainmask import BrainMask
from petechia.anatomy.empty import EmptySlices
from petechia.anatomy.regions import Regions
from petechia.anatomy.registration import Registration
from petechia.anatomy.tissue import Tissue
from petechia.anatomy.tracking import Veins
from petechia.contrast.combine import combine_magnitude
from petechia.core.canonical import Canonical
from petechia.core.echoes import Echoes, reading_echo
from petechia.core.grid import Grid
from petechia.errors import UnfitError
from petechia.files.scan import Beside, Scan
from petechia.lesions.criteria.clinical import ClinicalFacts
from petechia.lesions.detect import Detection
from petechia.lesions.hematoma import Size, Staging
from petechia.pipeline.companions import Companions
from petechia.pipeline.fitness.check import Check, forbidden
from petechia.pipeline.settings import Settings
from petechia.pipeline.signs import SessionSigns
from petechia.qsm.iron import Nucleus
from petechia.qsm.oxygenation import Oxygenation

Volume = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hematoma:
    """A bleed larger than a microbleed: which finding, how large, at which stage."""

    index: int
    name: str
    size: Size
    staging: Staging


@dataclass(slots=True, eq=False, kw_only=True)
class Work:
    """One scan, what has been made of it, and what was said about it.

    Every stage reads what earlier ones left here and adds its own; None means "not made".
    """

    scan: Scan
    settings: Settings
    given_mask: Mask | None = None
    given_field_ppm: Volume | None = None
    given_reference: Mask | None = None
    oriented: bool = True
    """False when the affine was made of voxel sizes alone: right and front are then not known."""
    beside: Beside = field(default_factory=Beside)
    facts: ClinicalFacts = field(default_factory=ClinicalFacts)
    language: str = "en"

    checks: list[Check] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    methods: list[dict[str, str]] = field(default_factory=list)

    brain: BrainMask | None = None
    mask: Mask | None = None
    empty: EmptySlices | None = None
    noise_sd: float = float("nan")
    unwrapped_rad: Volume | None = None
    total_field_ppm: Volume | None = None
    field_noise_ppm: Volume | None = None
    field_residual_rad: Volume | None = None
    highpass_rad: Volume | None = None
    phase_filtered: bool = False
    local_field_ppm: Volume | None = None
    local_mask: Mask | None = None
    chi_ppm: Volume | None = None
    chi_mask: Mask | None = None
    chi_noise_ppm: Volume | None = None
    phase_sign: int = 1
    sign_trusted: bool = False
    sign_settled: bool = False
    chi_reference: str = ""
    chi_reference_ppm: float = float("nan")
    r2star: Volume | None = None
    t2star_s: Volume | None = None
    s0: Volume | None = None
    swi: Volume | None = None
    mip: Volume | None = None
    registration: Registration | None = None
    regions: Regions | None = None
    tissue: Tissue | None = None
    veins: Veins | None = None
    air: Mask | None = None
    structures: Mapping[str, Mask] | None = None
    detection: Detection | None = None
    signs: SessionSigns | None = None
    nuclei: tuple[Nucleus, ...] = ()
    oxygenation: Oxygenation | None = None
    hematomas: tuple[Hematoma, ...] = ()
    _companions: Companions | None = field(default=None, init=False)

    @property
    def companions(self) -> Companions:
        """T1w, T2w and FLAIR of the person; each is registered the first time it is asked for."""
        if self._companions is None:
            magnitude = combine_magnitude(self.echoes.magnitude, self.echoes.te_s)
            self._companions = Companions(self.beside, self.bridged(magnitude), self.grid)
        return self._companions

    @property
    def echoes(self) -> Echoes:
        """The scan's arrays."""
        return self.scan.echoes

    @property
    def grid(self) -> Grid:
        """The scan's geometry."""
        return self.scan.echoes.grid

    @property
    def order(self) -> Canonical:
        """The order of axes in which nothing depends on how the scan is stored."""
        return (Canonical.of if self.oriented else Canonical.as_stored)(self.grid)

    @property
    def reading_echo(self) -> int:
        """Index of the echo that dark spots are read at."""
        return reading_echo(self.echoes.te_s, self.echoes.b0_t)

    @property
    def reading_te_s(self) -> float:
        """Its echo time [s]."""
        return self.echoes.te_s[self.reading_echo]

    @property
    def slice_mm(self) -> float:
        """Longest edge of its voxels [mm], which is large where slices are thick."""
        return float(self.grid.spacing_mm.max())

    @property
    def signed(self) -> bool:
        """True when moments are measured, and their sign is known."""
        return self.local_field_ppm is not None and self.sign_trusted

    @property
    def phase_usable(self) -> bool:
        """True when susceptibility can be had: phase is there and not filtered."""
        has = self.echoes.phase_rad is not None or self.given_field_ppm is not None
        return has and not any("susceptibility" in c.forbids for c in self.checks)

    def why_not(self, answer: str) -> list[str]:
        """Return why an answer cannot be given; empty when it can."""
        return forbidden(self.checks, answer)

    def bridged(self, magnitude: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a magnitude with lost slices interpolated, for what looks at the whole head."""
        return magnitude if self.empty is None else self.empty.filled(magnitude)

    def leave_phase(self) -> None:
        """Go on as if there were no phase; what was said of it is taken back."""
        echoes = replace(self.echoes, phase_rad=None, phase_te_s=())
        self.scan = replace(self.scan, echoes=echoes, phase_note="noise, not used")
        self.checks = [check for check in self.checks if check.check != "phase"]

    def require_swi(self, where: str) -> None:
        """Raise `UnfitError` when there is no SWI because the phase was of no use."""
        if self.swi is None:
            reason = [*self.why_not("sign"), "No SWI was made"][0]
            raise UnfitError(
                reason.rstrip("."), where=where, mend="Give the phase of this magnitude."
            )

    def used(self, stage: str, family: str) -> tuple[Any, Any]:
        """Note the method of `family` as used in `stage`; return its row and settings."""
        name, row, params = self.settings.method(family)
        self.cite(stage, name, row.summary, row.doi)
        return row, params

    def cite(self, stage: str, method: str, summary: str, doi: str) -> None:
        """Note a method for the methods text of the report."""
        self.methods.append({"stage": stage, "method": method, "summary": summary, "doi": doi})

    def need(self, name: str) -> Any:
        """Return an attribute that an earlier stage must have made."""
        value = getattr(self, name)
        if value is None:
            raise RuntimeError(f"stage order is broken: {name} was not made")
        return value
