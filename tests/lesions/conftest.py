"""A phantom whose field is known in closed form: magnetised spheres and long cylinders."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.units import radians_per_ppm, wrap
from petechia.lesions.inputs import LesionInputs


@dataclass(frozen=True)
class Sphere:
    centre_vox: tuple
    radius_mm: float
    chi_ppm: float

    @property
    def moment(self) -> float:
        return self.chi_ppm * 4 / 3 * np.pi * self.radius_mm**3

    def add(self, at_mm, b, spacing):
        r = at_mm - np.asarray(self.centre_vox) * spacing
        r2 = (r**2).sum(-1)
        inside = r2 <= self.radius_mm**2
        cos2 = (r @ b) ** 2 / np.maximum(r2, 1e-9)
        outside = self.chi_ppm / 3 * self.radius_mm**3 / np.maximum(r2, 1e-9) ** 1.5
        return np.where(inside, 0, outside * (3 * cos2 - 1)), inside


@dataclass(frozen=True)
class Vein:
    through_vox: tuple
    along: tuple
    radius_mm: float
    chi_ppm: float = 0.4

    def add(self, at_mm, b, spacing):
        u = np.asarray(self.along, float) / np.linalg.norm(self.along)
        r = at_mm - np.asarray(self.through_vox) * spacing
        r = r - (r @ u)[..., None] * u
        r2 = np.maximum((r**2).sum(-1), 1e-9)
        inside = r2 <= self.radius_mm**2
        cos_axis = b @ u
        across = b - cos_axis * u  # main field across the vein
        cos2phi = 2 * (r @ across) ** 2 / r2 - across @ across
        outside = self.chi_ppm / 2 * self.radius_mm**2 / r2 * cos2phi
        return np.where(inside, self.chi_ppm / 6 * (3 * cos_axis**2 - 1), outside), inside


@dataclass(frozen=True)
class Phantom:
    grid: Grid
    magnitude: np.ndarray
    field_ppm: np.ndarray
    noise_ppm: np.ndarray
    mask: np.ndarray
    te_s: float
    objects: tuple = field(default=())

    def inputs(self, phase=True, **more) -> LesionInputs:
        told = (
            {"local_field_ppm": self.field_ppm, "field_noise_ppm": self.noise_ppm} if phase else {}
        )
        known = {
            "grid": self.grid, "brain_mask": self.mask, "b0_t": 3.0, "reading_te_s": self.te_s,
            "magnitude": self.magnitude,
        }  # fmt: skip
        return LesionInputs(**(known | told | more))


def build(objects, shape=(47, 49, 45), spacing=1.0, b0_dir=(0, 0, 1), snr=50, te_s=0.02, seed=1):
    """Return a phantom: complex signal averaged over 27 points of each voxel."""
    rng = np.random.default_rng(seed)
    grid = Grid.from_spacing(shape, spacing, b0_dir)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1)
    times = (0.25 * te_s, 0.5 * te_s, 0.75 * te_s, te_s)
    signal = np.zeros((len(times), *shape), dtype=complex)
    truth = np.zeros(shape)
    steps = [(-1 / 3, 0, 1 / 3)] * 3
    rate = radians_per_ppm(3.0, 1.0)
    for i in steps[0]:
        for j in steps[1]:
            for k in steps[2]:
                at = (index + np.array([i, j, k])) * grid.spacing_mm
                shift, inside = np.zeros(shape), np.zeros(shape, dtype=bool)
                for thing in objects:
                    df, within = thing.add(at, grid.b0_dir, grid.spacing_mm)
                    shift += df
                    inside |= within
                truth += shift / 27
                for n, te in enumerate(times):
                    decay = np.where(inside, np.exp(-te * 60), 1.0)
                    signal[n] += decay * np.exp(1j * rate * te * shift) / 27
    noise = rng.normal(size=signal.shape) + 1j * rng.normal(size=signal.shape)
    signal = signal + noise / snr
    w = np.abs(signal) ** 2
    te = np.asarray(times)[:, None, None, None]
    expected = rate * te * truth
    unwrapped = expected + wrap(np.angle(signal) - expected)
    measured = (w * unwrapped * te).sum(0) / (w * te**2).sum(0) / rate
    sd = 1 / (snr * rate * np.sqrt((w * te**2).sum(0)))
    ramp = 0.002 * (index[..., 0] - shape[0] / 2) * grid.spacing_mm[0] / 10
    shade = 800 * (1 + 0.3 * index[..., 1] / shape[1])
    mask = np.ones(shape, dtype=bool)
    return Phantom(
        grid=grid,
        magnitude=(np.abs(signal[-1]) * shade).astype(np.float32),
        field_ppm=(measured + ramp).astype(np.float32),
        noise_ppm=sd.astype(np.float32),
        mask=mask,
        te_s=te_s,
        objects=tuple(objects),
    )


LESIONS = (
    Sphere((12.2, 14.1, 11.3), 1.0, 1.0),
    Sphere((33.4, 12.0, 30.2), 1.4, 0.8),
    Sphere((14.0, 35.6, 32.1), 0.8, 1.2),
)
CALCIUM = Sphere((34.0, 35.0, 12.0), 1.2, -1.2)
VEIN = Vein((24.0, 24.0, 22.0), (1.0, 0.4, 0.9), 0.8)


@pytest.fixture(scope="session")
def make():
    """Factories: `make.build(objects, ...)`, `make.Sphere`, `make.Vein`."""

    class Make:
        pass

    Make.build, Make.Sphere, Make.Vein = staticmethod(build), Sphere, Vein
    return Make


@pytest.fixture(scope="session")
def phantom():
    """Three microbleeds, one calcification, one vein across the volume; 1 mm, 3 T."""
    return build((*LESIONS, CALCIUM, VEIN))
