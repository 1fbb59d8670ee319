"""Merge thin slices into thick ones: what a scan of the same person in thick slices would show.

Complex signals are added, so that what is out of phase within a slice cancels, as it does in a
scanner; without a field magnitudes are. Noise is added. Most thick slices have no phase that is
kept; that of one in four goes the road and is told of.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from kept import Kept
from scipy import ndimage

from petechia.anatomy.surroundings import air_cavities
from petechia.anatomy.tissue import tissue_map
from petechia.anatomy.tracking import track_veins
from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.core.units import radians_per_ppm
from petechia.files.scan import Header, Scan, ScanName
from petechia.lesions.inputs import LesionInputs
from petechia.lesions.slices import ROUNDING_MM
from petechia.pipeline.settings import Settings
from petechia.pipeline.stages import STAGES, lesion_inputs, walk
from petechia.pipeline.work import Work
from petechia.simulate.truth import VOID_LOSS

SLICE_MM = ((4.5, 6.5), (3.0, 4.5))
"""Of the thickness that is drawn, for each way to merge a head; a slice is the number of thin ones
next to it."""
GAP = 0.25
"""Largest part of a slice's thickness that is left out between two, in whole thin slices."""
SNR = (25.0, 90.0)
"""Of tissue over the noise that is added."""
WITH_PHASE = 0.5
"""How often the phase is kept when a head's slices are merged for the second time."""
AWAY_MM = 1.5
"""What lies so near a void is not tissue without it."""
LEAST_AROUND = 0.05
"""Weight of tissue without a void in the surroundings below which they are too little."""
TISSUE_MM = 4.0
"""Width of the Gaussians that tell of the surroundings: sigma of the field's, twice that of the
signal's."""
OF_PHASE = (
    "swi", "local_field_ppm", "field_noise_ppm", "field_mask", "chi_ppm", "total_field_ppm",
    "filtered_field_ppm",
)  # fmt: skip
"""What the detector is given that there is not without a phase."""


def merged(
    inputs: LesionInputs,
    kept: Kept,
    rng: np.random.Generator,
    contrast: npt.NDArray[np.float32] | None = None,
    way: int = 0,
    phasors: "Phasors | None" = None,
) -> tuple[LesionInputs, Kept]:
    """Return what the detector would be given of the same head in thick slices, and the truth.

    With `contrast` the signal is multiplied by it before: see `contrast.py`. The facts tell how
    the slices were cut, and whether the phase was kept: by one in two of the second `way`.
    `phasors` are worked out here unless given.
    """
    cut = Cut.drawn(inputs.grid, rng, way)
    of = phasors or Phasors.of(inputs, kept)
    thin = inputs.magnitude if contrast is None else inputs.magnitude * contrast
    signal = cut.mean(thin * of.turn)
    alone = of.alone if contrast is None else of.alone * contrast
    void = np.abs(signal) < (1 - VOID_LOSS) * np.abs(cut.mean(alone))
    mask = cut.most(inputs.brain_mask)
    signal = _with_noise(signal, mask, rng)
    magnitude = np.abs(signal)
    kept_phase = way > 0 and inputs.local_field_ppm is not None and rng.random() < WITH_PHASE
    of_phase = _of_phase(signal, mask, cut.grid, inputs) if kept_phase else {}
    labels = _labels(kept.arrays["truth_labels"], void, cut)
    seen = set(np.unique(labels).tolist())
    facts = kept.facts | {
        "affine": cut.grid.affine.tolist(),
        "merged": {"n": cut.n, "step": cut.step, "first": cut.first, "phase": bool(of_phase)},
        "lesions": [
            {**row, "visible": int(row["visible"]) * (int(row["index"]) in seen)}
            for row in kept.facts["lesions"]
        ],
    }
    arrays = {
        "truth_labels": labels,
        "brain_mask": mask,
        "truth_brain": cut.most(kept.arrays["truth_brain"] > 0),
        "truth_veins": cut.mean(kept.arrays["truth_veins"]),
    }
    veins = track_veins(of_phase.get("chi_ppm"), of_phase.get("swi", magnitude), mask, cut.grid)
    ventricles = inputs.ventricle_mask
    told = tissue_map(
        magnitude[None], mask, cut.grid,
        prior_ventricles=None if ventricles is None else cut.most(ventricles),
    )  # fmt: skip
    place = inputs.region_of
    return replace(
        inputs,
        grid=cut.grid,
        brain_mask=mask,
        magnitude=magnitude,
        vessel=veins.likeness,
        vein_length_mm=veins.length_mm,
        csf=told.csf if told.told else None,
        ventricle_mask=told.ventricles,
        air_mask=air_cavities(magnitude, mask, cut.grid),
        structures=(
            None
            if inputs.structures is None
            else {name: cut.most(where) for name, where in inputs.structures.items()}
        ),
        region_of=None if place is None else lambda at: place(cut.thin(at)),
        r2star=None,
        **(dict.fromkeys(OF_PHASE) | {"sign_trusted": False} | of_phase),
    ), Kept(facts, arrays, cut.grid)


def _of_phase(
    signal: npt.NDArray[np.complex64],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    inputs: LesionInputs,
) -> dict[str, Any]:
    """Return what the road makes of the phase, of `OF_PHASE` and `sign_trusted`."""
    echoes = Echoes(
        magnitude=np.abs(signal)[None],
        phase_rad=np.angle(signal)[None],
        te_s=(inputs.reading_te_s,),
        b0_t=inputs.b0_t,
        grid=grid,
    )
    work = Work(
        scan=Scan(
            echoes=echoes, name=ScanName((("sub", "merged"),)), header=Header(), kind="arrays",
            sources=(),
        ),
        settings=Settings(phase_sign="+1"),
        given_mask=mask,
    )  # fmt: skip
    walk(work, ("mask",))
    work.given_mask = None  # from here on it is as one that was found
    for name in ("unwrap", "background", "invert", "swi"):
        if work.phase_usable:
            STAGES[name].run(work)
    found = lesion_inputs(work)
    told = {name: value for name in OF_PHASE if (value := getattr(found, name)) is not None}
    return told | {"sign_trusted": found.sign_trusted and inputs.sign_trusted}


@dataclass(frozen=True, eq=False)
class Phasors:
    """What every way to merge a head needs of it.

    Attributes
    ----------
    turn : (I, J, K) ndarray of complex64
        The phase at the reading echo as a factor.
    alone : (I, J, K) ndarray of complex64
        What the signal would be without lesions: magnitude, and phase of the smoothed field.
    """

    turn: npt.NDArray[np.complex64]
    alone: npt.NDArray[np.complex64]

    @classmethod
    def of(cls, inputs: LesionInputs, kept: Kept) -> "Phasors":
        """Work them out; without a field all is in phase."""
        turn, calm = _turns(inputs)
        tissue = _tissue_alone(inputs.magnitude, kept.arrays["truth_labels"], inputs.grid)
        return cls(turn, tissue * calm)


class Cut:
    """Which thin slices each thick one is made of."""

    def __init__(self, grid: Grid, n: int, step: int, first: int) -> None:
        self.axis, self.n, self.step, self.first = grid.slice_axis, n, step, first
        self.count = (grid.shape[self.axis] - first - n) // step + 1
        shape, affine = list(grid.shape), grid.affine.copy()
        shape[self.axis] = self.count
        begin = np.zeros(3)
        begin[self.axis] = first + (n - 1) / 2
        affine[:3, 3] = grid.to_mm(begin)
        affine[:3, self.axis] *= step
        self.grid = Grid((shape[0], shape[1], shape[2]), affine)

    @classmethod
    def drawn(cls, grid: Grid, rng: np.random.Generator, way: int = 0) -> "Cut":
        """Draw thickness, gap and the place of the first slice."""
        thin = float(grid.spacing_mm[grid.slice_axis])
        thick = float(rng.uniform(*SLICE_MM[way]))
        least = min(mm for mm, _ in SLICE_MM)
        n = max(int(np.ceil((least - ROUNDING_MM) / thin)), round(thick / thin))
        step = n + int(rng.integers(0, int(GAP * n) + 1))
        if grid.shape[grid.slice_axis] < step + n:
            raise SystemExit(f"{grid.shape[grid.slice_axis]} slices are too few to merge by {n}.")
        return cls(grid, n, step, int(rng.integers(step)))

    def _slabs(self, volume: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
        moved = np.moveaxis(volume, self.axis, 0)
        for begin in range(self.first, self.first + self.count * self.step, self.step):
            yield moved[begin : begin + self.n]

    def _back(self, slices: Iterable[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        return np.ascontiguousarray(np.moveaxis(np.stack(list(slices)), 0, self.axis))

    def mean(self, volume: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the mean over the thin slices of each thick one."""
        return self._back(slab.mean(axis=0) for slab in self._slabs(volume))

    def largest(self, labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the largest label within each thick voxel: two there are one."""
        return self._back(slab.max(axis=0) for slab in self._slabs(labels))

    def most(self, mask: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Return where at least half is in a mask."""
        half: npt.NDArray[np.bool_] = self.mean(mask.astype(np.float32)) >= 0.5
        return half

    def thin(self, at: tuple[int, int, int]) -> tuple[int, int, int]:
        """Return the thin voxel in the middle of a thick one."""
        out = list(at)
        out[self.axis] = self.first + at[self.axis] * self.step + self.n // 2
        return (out[0], out[1], out[2])


def _turns(
    inputs: LesionInputs,
) -> tuple[npt.NDArray[np.complex64], npt.NDArray[np.complex64]]:
    """Return the phase at the reading echo as a factor, and the same of the smoothed field.

    Outside the field's mask it is as at its edge; without a field it is 1.
    """
    ppm = next((f for f in (inputs.total_field_ppm, inputs.local_field_ppm) if f is not None), None)
    if ppm is None:
        one = np.ones(inputs.grid.shape, dtype=np.complex64)
        return one, one
    field = _filled(
        ppm, inputs.trusted if ppm is inputs.local_field_ppm else inputs.brain_mask, inputs.grid
    )
    calm = ndimage.gaussian_filter(field, TISSUE_MM / inputs.grid.spacing_mm)
    per_ppm = 1j * radians_per_ppm(inputs.b0_t, inputs.reading_te_s)
    return np.exp(per_ppm * field).astype(np.complex64), np.exp(per_ppm * calm).astype(np.complex64)


def _tissue_alone(
    magnitude: npt.NDArray[Any], labels: npt.NDArray[Any], grid: Grid
) -> npt.NDArray[np.float32]:
    """Return a magnitude whose voids hold the mean of what lies around them."""
    void = labels > 0
    near = ndimage.distance_transform_edt(~void, grid.spacing_mm) < AWAY_MM
    sigma = TISSUE_MM / 2 / grid.spacing_mm
    weight = ndimage.gaussian_filter((~near).astype(np.float32), sigma)
    mean = ndimage.gaussian_filter(np.where(near, 0, magnitude).astype(np.float32), sigma)
    # deep inside a large void there is nothing around: what lies at its border is taken
    around = _filled(mean / np.maximum(weight, 1e-6), weight > LEAST_AROUND, grid)
    return np.where(near, around, magnitude).astype(np.float32)


def _filled(
    volume: npt.NDArray[Any], known: npt.NDArray[np.bool_], grid: Grid
) -> npt.NDArray[np.float32]:
    """Return a volume whose unknown voxels hold the value of the nearest known one."""
    nearest = ndimage.distance_transform_edt(
        ~known, grid.spacing_mm, return_distances=False, return_indices=True
    )
    return np.asarray(volume[tuple(nearest)], dtype=np.float32)


def _labels(thin: npt.NDArray[Any], void: npt.NDArray[np.bool_], cut: Cut) -> npt.NDArray[np.int16]:
    """Return each lesion's void in thick slices: what loses signal at its thin one."""
    here = cut.largest(thin)
    away, nearest = ndimage.distance_transform_edt(
        here == 0, cut.grid.spacing_mm, return_indices=True
    )
    out: npt.NDArray[np.int16] = np.where(void & (away <= AWAY_MM), here[tuple(nearest)], 0)
    return out.astype(np.int16)


def _with_noise(
    signal: npt.NDArray[np.complex64], mask: npt.NDArray[np.bool_], rng: np.random.Generator
) -> npt.NDArray[np.complex64]:
    """Return a signal with the noise of a scan's own in thick slices."""
    sd = float(np.median(np.abs(signal)[mask])) / float(rng.uniform(*SNR))
    real, imaginary = (rng.normal(0, sd, signal.shape) for _ in range(2))
    return (signal + real + 1j * imaginary).astype(np.complex64)
