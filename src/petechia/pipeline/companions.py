"""T1w, T2w and FLAIR beside a scan: each registered to it once, and whether it fits."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.anatomy.companion import LEAST_PEAK, to_companion
from petechia.anatomy.compared import sampled
from petechia.anatomy.signs.fit import LEAST_FLUID, fluid_agreement
from petechia.anatomy.tissue import Tissue
from petechia.core.grid import Grid
from petechia.core.morphology import Mask
from petechia.errors import PetechiaError
from petechia.files.beside import read_image
from petechia.files.scan import Beside

Volume = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]
KINDS = ("FLAIR", "T2w", "T1w")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Companion:
    """A scan that fits.

    Attributes
    ----------
    image : (L, M, N) ndarray of float32
    grid : Grid
        Of it.
    rigid : (4, 4) ndarray of float
        RAS of the gradient echo to its RAS [mm].
    peak : float
        How sharply the two agree, as `to_companion` gives it.
    """

    image: Volume
    grid: Grid
    rigid: Matrix
    peak: float

    def on(self, grid: Grid) -> Volume:
        """Return the image on a grid of the gradient echo's world; NaN where it has no data."""
        seen = sampled(np.ones(self.grid.shape, np.float32), self.grid, self.rigid, grid) > 0.99
        values = sampled(self.image, self.grid, self.rigid, grid)
        return np.where(seen, values, np.float32(np.nan))


class Companions:
    """What lies beside a scan, by its kind (`KINDS`); fits are kept, images are read again."""

    def __init__(self, beside: Beside, magnitude: npt.NDArray[np.floating], grid: Grid) -> None:
        given = dict(zip(KINDS, (beside.flair, beside.t2w, beside.t1w), strict=True))
        self.sources = {kind: source for kind, source in given.items() if source is not None}
        self._magnitude, self._grid = magnitude, grid
        self._fits: dict[str, tuple[Matrix, float]] = {}
        self._refused: dict[str, str] = {}
        self._agrees: dict[str, float] = {}

    def registered(self, kind: str) -> Companion | str:
        """Return a scan where it lies, or why it cannot be used."""
        if kind in self._refused:
            return self._refused[kind]
        try:
            image, grid = read_image(self.sources[kind])
            if kind not in self._fits:
                self._fits[kind] = to_companion(self._magnitude, self._grid, image, grid)
        except PetechiaError as error:
            return self._refuse(kind, error.what.rstrip("."))
        rigid, peak = self._fits[kind]
        if peak < LEAST_PEAK:
            return self._refuse(kind, f"it does not fit the gradient echo ({peak:.2f})")
        return Companion(image=image, grid=grid, rigid=rigid, peak=peak)

    def judged(
        self, kind: str, tissue: Tissue | None, brain: Mask
    ) -> tuple[Companion, float] | str:
        """Return a scan that shows fluid where the gradient echo does, or why it is not used.

        With its agreement about fluid, which is NaN where too little is known of it: whether it
        is of the same person was then not checked.
        """
        found = self.registered(kind)
        if isinstance(found, str):
            return found
        if kind not in self._agrees:
            self._agrees[kind] = float("nan")
            if tissue is not None and tissue.told:
                self._agrees[kind] = fluid_agreement(
                    tissue.csf, brain, self._grid, found.image, found.grid, found.rigid,
                    kind == "T2w",
                )  # fmt: skip
        agrees = self._agrees[kind]
        if agrees < LEAST_FLUID:
            why = f"it shows fluid elsewhere than the gradient echo ({agrees:.2f})"
            return self._refuse(kind, why)
        return found, agrees

    def unchecked(self, kind: str) -> str:
        """Return what is said of a scan whose agreement about fluid is not known."""
        return (
            f"{self.sources[kind].name}: whether it is of the same person was not checked, too "
            "little fluid is known."
        )

    def _refuse(self, kind: str, why: str) -> str:
        self._refused[kind] = why
        return why
