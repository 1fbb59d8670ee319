"""T1w, T2w and FLAIR scans of a simulated head, beside its gradient echo.

Signals follow the spoiled gradient echo (T1w), the spin echo (T2w) and the spin echo after an
inversion that nulls fluid (FLAIR), of tissues' textbook relaxation times. Turbo trains, flow of
fluid, motion and the reconstruction itself are not simulated.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.simulate.head import Head
from petechia.simulate.protocols import rotation
from petechia.simulate.render import Pose
from petechia.simulate.signs import Signs
from petechia.simulate.tissues import T1_EXPONENT, TISSUES, spoiled_gre

Volume = npt.NDArray[np.float32]
T2_S = {"soft": 0.040, "fat": 0.090, "bone": 0.001, "csf": 1.5, "gm": 0.095, "wm": 0.072}
"""T2 of tissues, textbook values at 3 T; taken for every field."""
WHITE_UNITS = 300.0
"""Signal of white matter in a written scan."""
NULLED_T1_S = 4.391
"""T1 of the fluid that a FLAIR inverts away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompanionProtocol:
    """How a T1w, T2w or FLAIR is made.

    Attributes
    ----------
    kind : str
        'T1w', 'T2w' or 'FLAIR'.
    shape : tuple of int
        Voxels along x, y, z.
    spacing_mm : tuple of float
        Their size; with no gap between slices.
    te_s, tr_s, flip_deg : float
        Timing; the flip angle is of the T1w alone.
    b0_t : float
        Main field.
    snr : float
        Of white matter.
    tilt_deg : float
        Of the slices about the patient's x.
    """

    kind: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    te_s: float
    tr_s: float
    flip_deg: float = 25.0
    b0_t: float = 3.0
    snr: float = 40.0
    tilt_deg: float = 0.0

    @property
    def grid(self) -> Grid:
        """Of the volume, the isocentre in its middle."""
        affine = np.eye(4)
        affine[:3, :3] = rotation(np.deg2rad(self.tilt_deg), 0.0, 0.0) * np.asarray(self.spacing_mm)
        affine[:3, 3] = -affine[:3, :3] @ ((np.asarray(self.shape) - 1) / 2)
        return Grid(self.shape, affine)

    @property
    def inversion_s(self) -> float:
        """When fluid has no signal after its inversion [s]."""
        return float(NULLED_T1_S * np.log(2 / (1 + np.exp(-self.tr_s / NULLED_T1_S))))


COMPANIONS = {
    "T1w": CompanionProtocol(
        kind="T1w", shape=(180, 224, 180), spacing_mm=(1.0, 1.0, 1.0), te_s=0.004, tr_s=0.018
    ),
    "T2w": CompanionProtocol(
        kind="T2w", shape=(180, 224, 180), spacing_mm=(1.0, 1.0, 1.0), te_s=0.10, tr_s=4.0
    ),
    "FLAIR": CompanionProtocol(
        kind="FLAIR", shape=(180, 224, 180), spacing_mm=(1.0, 1.0, 1.0), te_s=0.12, tr_s=9.0
    ),
}
"""Volumes of 1 mm by the suffix of BIDS."""


def sliced(protocol: CompanionProtocol, slice_mm: float) -> CompanionProtocol:
    """Return a protocol of thick axial slices with pixels of 0.7 mm, tilted a little."""
    if not 1.0 <= slice_mm <= 8.0:
        raise ParameterError(f"slices of {slice_mm} mm", where="sliced", mend="Give 1 to 8 mm.")
    n = int(np.ceil(170 / slice_mm))
    return replace(protocol, shape=(260, 320, n), spacing_mm=(0.7, 0.7, slice_mm), tilt_deg=-8.0)


def moved(pose: Pose, rng: np.random.Generator) -> Pose:
    """Return how a head lies some minutes later in the same session."""
    turn = rotation(*np.deg2rad(rng.normal(0.0, 1.5, 3)))
    return Pose(turn=turn @ pose.turn, shift_mm=pose.shift_mm + rng.normal(0.0, 1.5, 3))


def simulate_companion(
    head: Head,
    signs: Signs,
    pose: Pose,
    protocol: CompanionProtocol,
    rng: np.random.Generator,
) -> Volume:
    """Return a T1w, T2w or FLAIR magnitude of a head, (I, J, K) float32.

    Parameters
    ----------
    head : Head
        Anatomy.
    signs : Signs
        What shows on these scans besides, on the head's grid.
    pose : Pose
        How the head lies.
    protocol : CompanionProtocol
        How it is made.
    rng : Generator
        Shading and noise.
    """
    of_shade, of_noise = rng.spawn(2)
    signal = _signal(head, signs, protocol)
    out = laid(signal, head.grid, pose, protocol.grid)
    white = _white(protocol)
    out *= _shading(protocol.grid, of_shade) * np.float32(WHITE_UNITS / white)
    sd = np.float32(WHITE_UNITS / protocol.snr)
    noise = of_noise.standard_normal((2, *out.shape), dtype=np.float32) * sd
    return np.asarray(np.hypot(out + noise[0], noise[1]), dtype=np.float32)


def laid(volume: Volume, own: Grid, pose: Pose, grid: Grid) -> Volume:
    """Return a volume of the head as means over the voxels of a scan."""
    corners = own.to_index(pose.to_head(grid.to_mm(np.concatenate([np.zeros((1, 3)), np.eye(3)]))))
    matrix, shift = (corners[1:] - corners[0]).T, corners[0]
    n = max(int(np.ceil(grid.spacing_mm[2] / own.spacing_mm[2])), 1)
    out = np.zeros(grid.shape, dtype=np.float32)
    for step in (np.arange(n) + 0.5) / n - 0.5:
        out += ndimage.affine_transform(
            volume, matrix, shift + matrix[:, 2] * step, grid.shape, order=1
        )
    return np.asarray(out / np.float32(n), dtype=np.float32)


def _signal(head: Head, signs: Signs, protocol: CompanionProtocol) -> Volume:
    left = 1 - signs.hyperintense - signs.edema - signs.fluid
    out = np.zeros(head.grid.shape, dtype=np.float32)
    for name, part in head.fractions.items():
        tissue = TISSUES[name]
        value = seen(tissue.pd, tissue.t1_at(protocol.b0_t), T2_S[name], protocol)
        out += part * np.float32(value)
    in_brain = head.fractions["gm"] + head.fractions["wm"]
    out *= 1 + np.float32(0.03) * head.texture * in_brain
    out *= np.maximum(left, 0)
    grown = (protocol.b0_t / 3.0) ** T1_EXPONENT
    for part, pd, t1_s, t2_s in (
        (signs.hyperintense, 0.80, 1.25 * grown, signs.t2_s),
        (signs.edema, 0.88, 1.45 * grown, signs.edema_t2_s),
        (signs.fluid, 1.0, NULLED_T1_S, T2_S["csf"]),
    ):
        out += part * np.float32(seen(pd, t1_s, t2_s, protocol))
    return out


def seen(pd: float, t1_s: float, t2_s: float, protocol: CompanionProtocol) -> float:
    r"""Return the signal of a tissue.

    .. math:: S = \rho \, e^{-TE/T_2} |1 - 2 e^{-TI/T_1} + e^{-TR/T_1}|

    for a FLAIR, without the second term for a T2w, and the spoiled gradient echo for a T1w.
    """
    if protocol.kind == "T1w":
        return float(spoiled_gre(pd, t1_s, protocol.tr_s, protocol.flip_deg))
    decay = pd * np.exp(-protocol.te_s / t2_s)
    if protocol.kind == "T2w":
        return float(decay * (1 - np.exp(-protocol.tr_s / t1_s)))
    inverted = 1 - 2 * np.exp(-protocol.inversion_s / t1_s) + np.exp(-protocol.tr_s / t1_s)
    return float(decay * abs(inverted))


def _white(protocol: CompanionProtocol) -> float:
    tissue = TISSUES["wm"]
    return seen(tissue.pd, tissue.t1_at(protocol.b0_t), T2_S["wm"], protocol)


def _shading(grid: Grid, rng: np.random.Generator) -> Volume:
    """Return a smooth receive sensitivity about 1: a quadratic over the field of view."""
    axes = [np.linspace(-1, 1, n, dtype=np.float32) for n in grid.shape]
    x, y, z = axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]
    a = rng.normal(0.0, 0.15, 6).astype(np.float32)
    curve = a[0] * x + a[1] * y + a[2] * z + a[3] * x * x + a[4] * y * y + a[5] * z * z
    return np.asarray(np.exp(curve), dtype=np.float32)


def truth_labels(signs: Signs, own: Grid, pose: Pose, grid: Grid) -> npt.NDArray[np.uint8]:
    """Return what each voxel of a scan mostly is: an index of `LABELS`, 0 for none of them."""
    near = signs.near_ventricle_mm <= NEAR_MM
    parts = {
        "periventricular": signs.hyperintense * near,
        "deep": signs.hyperintense * ~near,
        "edema": signs.edema,
        "lacune": signs.cavities,
        "space": np.maximum(signs.fluid - signs.cavities, 0),
    }
    out, most = np.zeros(grid.shape, dtype=np.uint8), np.full(grid.shape, 0.5, dtype=np.float32)
    for name, part in parts.items():
        share = laid(np.asarray(part, dtype=np.float32), own, pose, grid)
        better = share > most
        out[better] = LABELS[name]
        most[better] = share[better]
    return out


NEAR_MM = 10.0
"""Hyperintensity within this of the lateral ventricles is called periventricular."""
LABELS: Mapping[str, int] = {"periventricular": 1, "deep": 2, "edema": 3, "lacune": 4, "space": 5}
