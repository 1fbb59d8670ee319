"""A CT of a simulated person: Hounsfield units on slices, with bed and headrest."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.simulate.head import Head
from petechia.simulate.protocols import rotation
from petechia.simulate.render import Pose
from petechia.simulate.sources import Source, Sphere

Volume = npt.NDArray[np.float32]
AIR_HU = -1000.0
TISSUE_HU = {"soft": 45.0, "fat": -90.0, "bone": 1000.0, "csf": 8.0, "gm": 38.0, "wm": 30.0}
"""Typical values of textbooks for the tissues of a `Head`; nothing was fitted to scans."""
SUBSTANCE_HU = {"calcium": 600.0, "air": AIR_HU}
"""Of lesions; old blood and iron are taken as the tissue around them."""
HEMOSIDERIN_HU = 45.0
FOAM_HU, SHELL_HU = -900.0, 120.0
SPLIT_MM = 0.4
"""Steps in which a sphere's share of a voxel is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CtProtocol:
    """How a CT is made.

    Attributes
    ----------
    shape : tuple of int
        Columns, rows, slices.
    pixel_mm, slice_mm : float
        Side of a pixel, and thickness and distance of slices [mm].
    tilt_deg : float
        Of the gantry, about the patient's x: slices lean, the bed moves straight on.
    noise_hu : float
        Standard deviation of the noise.
    blur_mm : float
        Full width at half maximum within a slice.
    centre_mm : tuple of float
        Of the field of view, against the isocentre.
    bed : bool
        Whether bed and headrest are in view.
    """

    shape: tuple[int, int, int] = (256, 256, 34)
    pixel_mm: float = 0.9
    slice_mm: float = 5.0
    tilt_deg: float = 0.0
    noise_hu: float = 4.0
    blur_mm: float = 1.2
    centre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    bed: bool = True

    def __post_init__(self) -> None:
        for name in ("pixel_mm", "slice_mm", "noise_hu", "blur_mm"):
            if not getattr(self, name) > 0:
                raise ParameterError(
                    f"{name} = {getattr(self, name)}",
                    where="CtProtocol",
                    mend="Give a value above 0.",
                )

    @property
    def grid(self) -> Grid:
        """Of the volume; sheared when the gantry leans."""
        turn = rotation(np.deg2rad(self.tilt_deg), 0.0, 0.0)
        affine = np.eye(4)
        affine[:3, :2] = turn[:, :2] * self.pixel_mm
        # slices lie `slice_mm` apart along their normal, the bed moves along z
        affine[2, 2] = self.slice_mm / turn[2, 2]
        affine[:3, 2] *= (0, 0, 1)
        middle = (np.asarray(self.shape) - 1) / 2
        affine[:3, 3] = np.asarray(self.centre_mm) - affine[:3, :3] @ middle
        return Grid(self.shape, affine)


def simulate_ct(
    head: Head,
    sources: Sequence[Source],
    pose: Pose,
    protocol: CtProtocol,
    rng: np.random.Generator,
) -> Volume:
    """Return a CT of a head with its lesions [HU], (I, J, K) float32.

    Parameters
    ----------
    head : Head
        Anatomy.
    sources : sequence of Source
        Lesions; spheres of calcium are dense, other spheres hardly. Bodies are left out.
    pose : Pose
        How the head lies: of its own, as the person lay down anew.
    protocol : CtProtocol
        How it is made.
    rng : Generator
        For the noise.

    Notes
    -----
    Slices are means over their thickness, pixels have a Gaussian blur, noise is a little
    correlated within a slice. Beam hardening, streaks of metal, motion and the reconstruction
    itself are not simulated.
    """
    dense = np.full(head.grid.shape, AIR_HU, dtype=np.float32)
    for name, part in head.fractions.items():
        dense += part * np.float32(TISSUE_HU[name] - AIR_HU)
    in_brain = head.fractions["gm"] + head.fractions["wm"]
    dense += 1.5 * head.texture * in_brain
    grid = protocol.grid
    out = _slices(dense, head.grid, pose, grid, protocol.slice_mm)
    if protocol.bed:
        _lay_down(out, grid, pose)
    for source in sources:
        for sphere in source.spheres:
            _add_sphere(out, grid, pose, sphere)
    sigma = protocol.blur_mm / 2.355 / protocol.pixel_mm
    out = ndimage.gaussian_filter(out, (sigma, sigma, 0))
    noise = ndimage.gaussian_filter(
        rng.standard_normal(grid.shape, dtype=np.float32), (0.7, 0.7, 0)
    )
    out += noise * np.float32(protocol.noise_hu / noise.std())
    return np.asarray(np.maximum(out, -1024), dtype=np.float32)


def _slices(volume: Volume, own: Grid, pose: Pose, grid: Grid, thick_mm: float) -> Volume:
    """Return a volume of the head as means over the slices of a scan."""
    corners = own.to_index(pose.to_head(grid.to_mm(np.concatenate([np.zeros((1, 3)), np.eye(3)]))))
    matrix, shift = (corners[1:] - corners[0]).T, corners[0]
    n = max(int(np.ceil(thick_mm)), 1)
    out = np.zeros(grid.shape, dtype=np.float32)
    for step in (np.arange(n) + 0.5) / n - 0.5:
        out += ndimage.affine_transform(
            volume, matrix, shift + matrix[:, 2] * step, grid.shape, order=1, cval=AIR_HU
        )
    out /= np.float32(n)
    return out


def _lay_down(out: Volume, grid: Grid, pose: Pose) -> None:
    """Put a bed and a headrest under the head, where there is air."""
    places = grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1)) - pose.shift_mm
    x, y = places[..., 0], places[..., 1]
    radius = np.hypot(x / 0.88, y + 6.0)
    below = y < -40.0
    shell, foam = (np.abs(radius - 128) < 3) & below, (np.abs(radius - 116) < 9) & below
    bed = (y < -140) & (np.abs(x) < 200)
    for where, value in ((foam, FOAM_HU), (shell, SHELL_HU), (bed, FOAM_HU + 300)):
        empty = where & (out < -700)
        out[empty] = value


def _add_sphere(out: Volume, grid: Grid, pose: Pose, sphere: Sphere) -> None:
    """Mix a sphere's density into the voxels that it touches, by its share of each."""
    density = SUBSTANCE_HU.get(sphere.substance, HEMOSIDERIN_HU)
    n = max(int(np.ceil(2 * sphere.radius_mm / SPLIT_MM)), 3)
    side = ((np.arange(n) + 0.5) / n * 2 - 1) * sphere.radius_mm
    ball = np.stack(np.meshgrid(side, side, side, indexing="ij"), -1).reshape(-1, 3)
    ball = ball[np.linalg.norm(ball, axis=1) <= sphere.radius_mm]
    index = np.rint(grid.to_index(pose.to_scanner(ball + sphere.centre_mm))).astype(int)
    index = index[((index >= 0) & (index < grid.shape)).all(axis=1)]
    voxels, counts = np.unique(index, axis=0, return_counts=True)
    part = counts / len(ball) * sphere.volume_mm3 / grid.voxel_mm3
    at = tuple(voxels.T)
    part = np.minimum(part, 1.0).astype(np.float32)
    out[at] = (1 - part) * out[at] + part * np.float32(density)
