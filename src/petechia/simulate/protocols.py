"""How a simulated scan is acquired: a table of protocols."""

from dataclasses import dataclass

import numpy as np

from petechia.core.echoes import check_echo_times, reading_echo
from petechia.core.grid import Grid
from petechia.errors import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """One acquisition.

    Attributes
    ----------
    b0_t : float
        Main field [T].
    te_s : tuple of float
        Echo times [s].
    tr_s, flip_deg : float
        Repetition time [s] and flip angle [degrees] of the spoiled gradient echo.
    shape : tuple of int
        Voxels along the array axes; the third axis holds the slices.
    spacing_mm : tuple of float
        Centre to centre [mm].
    fine : tuple of float
        How many points of the simulation's grid there are to a voxel, along each axis.
    acquisition_type : str
        '3D' (k-space is cropped along all axes) or '2D' (slices have a profile).
    slice_thickness_mm : float or None
        Of a 2D slice; None for touching slices.
    tilt_deg : tuple of float
        Of the slices about the scanner's x and y [degrees].
    phase : bool
        False when only the magnitude is kept.
    snr : float
        White matter before decay over the noise of the real and imaginary part.
    head_mm : float
        Voxel of the head model [mm].
    centre_mm : tuple of float
        Centre of the field of view against the centre of the brain, along the axes [mm].
    flow_compensated : bool
        Whether flowing blood keeps its signal.
    phase_axis : int
        Array axis of the first phase encoding: 0 (left-right) or 1; the other is read out.
    acquired : float
        Part of k-space that is recorded along each axis, 0.3 to 1; the rest stays empty.
    partial_fourier : float
        Part of the phase-encoding lines that is recorded, 0.55 to 1.
    elliptical : bool
        Whether the corners of k-space are left out.
    bipolar : bool
        Whether even echoes are read backwards.
    bandwidth_hz : float or None
        Of a voxel along the readout: fat is displaced by its shift over this; None: not at
        all.
    respiration_ppm : float
        Amplitude of the field that goes with breathing, at the isocentre.
    motion_mm, motion_deg : float
        Size of the moves of the head: shifts along each axis and turns about it.
    n_coils : int
        Receivers, combined with known sensitivities; 1 is a combined coil.
    phase_filter : int or None
        Window of the vendor's homodyne filter [frequencies]; None stores the phase as it is.
    """

    b0_t: float
    te_s: tuple[float, ...]
    tr_s: float
    flip_deg: float
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    fine: tuple[float, float, float] = (2.0, 2.0, 2.0)
    acquisition_type: str = "3D"
    slice_thickness_mm: float | None = None
    tilt_deg: tuple[float, float] = (0.0, 0.0)
    phase: bool = True
    snr: float = 60.0
    head_mm: float = 1.0
    centre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    flow_compensated: bool = False
    phase_axis: int = 0
    acquired: float = 1.0
    partial_fourier: float = 1.0
    elliptical: bool = False
    bipolar: bool = False
    bandwidth_hz: float | None = None
    respiration_ppm: float = 0.0
    motion_mm: float = 0.0
    motion_deg: float = 0.0
    n_coils: int = 1
    phase_filter: int | None = None

    def __post_init__(self) -> None:
        check_echo_times(self.te_s, len(self.te_s), "Protocol.te_s")
        for name, low, high in (
            ("b0_t", 0.2, 12.0),
            ("tr_s", max(self.te_s), 10.0),
            ("flip_deg", 1.0, 90.0),
            ("snr", 1.0, 1e6),
            ("head_mm", 0.5, 4.0),
            ("phase_axis", 0, 1),
            ("acquired", 0.3, 1.0),
            ("partial_fourier", 0.55, 1.0),
            ("respiration_ppm", 0.0, 1.0),
            ("motion_mm", 0.0, 20.0),
            ("motion_deg", 0.0, 20.0),
            ("n_coils", 1, 64),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ParameterError(
                    f"{name} = {value} is outside [{low}, {high}]",
                    where="Protocol",
                    mend="Units are tesla, seconds, degrees and millimetres.",
                )
        if self.acquisition_type not in ("2D", "3D"):
            raise ParameterError(
                f"acquisition_type = {self.acquisition_type!r}",
                where="Protocol",
                mend="Choose 2D or 3D.",
            )
        if min(self.fine) < 1.0 or min(self.shape) < 4 or min(self.spacing_mm) <= 0:
            raise ParameterError(
                f"fine = {self.fine}, shape = {self.shape}, spacing_mm = {self.spacing_mm}",
                where="Protocol",
                mend="Give at least 1 point a voxel, 4 voxels along an axis and sizes above 0.",
            )

    @property
    def thickness_mm(self) -> float:
        """Slice thickness [mm]."""
        return self.slice_thickness_mm or self.spacing_mm[2]

    @property
    def reading_te_s(self) -> float:
        """The echo at which voids are read: B0 x TE nearest to 3 T x 20 ms [s]."""
        return self.te_s[reading_echo(self.te_s, self.b0_t)]

    @property
    def grid(self) -> Grid:
        """Voxels in the scanner, the brain's centre at the isocentre."""
        about_x, about_y = np.deg2rad(self.tilt_deg)
        turn = rotation(about_x, about_y, 0.0)
        affine = np.eye(4)
        affine[:3, :3] = turn * np.asarray(self.spacing_mm)
        middle = (np.asarray(self.shape) - 1) / 2 * np.asarray(self.spacing_mm)
        affine[:3, 3] = turn @ (np.asarray(self.centre_mm) - middle)
        return Grid(self.shape, affine)


def rotation(
    x_rad: float, y_rad: float, z_rad: float
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the matrix that turns about x, then y, then z."""
    (cx, cy, cz), (sx, sy, sz) = np.cos([x_rad, y_rad, z_rad]), np.sin([x_rad, y_rad, z_rad])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x, dtype=np.float64)


PROTOCOLS = {
    "3t_megre_1mm": Protocol(
        b0_t=3.0,
        te_s=(0.005, 0.010, 0.015, 0.020, 0.025),
        tr_s=0.030,
        flip_deg=15.0,
        shape=(192, 232, 180),
        spacing_mm=(1.0, 1.0, 1.0),
        snr=70.0,
    ),
    "3t_swi": Protocol(
        b0_t=3.0,
        te_s=(0.020,),
        tr_s=0.028,
        flip_deg=15.0,
        shape=(296, 360, 112),
        spacing_mm=(0.65, 0.65, 1.4),
        fine=(2.0, 2.0, 2.0),
        snr=45.0,
        flow_compensated=True,
    ),
    "3t_swi_multi": Protocol(
        b0_t=3.0,
        te_s=(0.0075, 0.0150, 0.0225, 0.0300),
        tr_s=0.038,
        flip_deg=15.0,
        shape=(296, 360, 112),
        spacing_mm=(0.65, 0.65, 1.4),
        fine=(2.0, 2.0, 2.0),
        snr=45.0,
        flow_compensated=True,
    ),
    "1.5t_swi": Protocol(
        b0_t=1.5,
        te_s=(0.040,),
        tr_s=0.049,
        flip_deg=15.0,
        shape=(216, 256, 80),
        spacing_mm=(0.9, 0.9, 2.0),
        fine=(2.0, 2.0, 3.0),
        snr=35.0,
        flow_compensated=True,
    ),
    "oblique_3t_swi": Protocol(
        b0_t=3.0,
        te_s=(0.020,),
        tr_s=0.028,
        flip_deg=15.0,
        shape=(256, 308, 96),
        spacing_mm=(0.75, 0.75, 1.6),
        fine=(2.0, 2.0, 2.2),
        tilt_deg=(-22.0, 6.0),
        snr=50.0,
        flow_compensated=True,
    ),
    "1.5t_t2star_2d_5mm": Protocol(
        b0_t=1.5,
        te_s=(0.030,),
        tr_s=0.80,
        flip_deg=20.0,
        shape=(216, 256, 28),
        spacing_mm=(0.9, 0.9, 6.0),
        fine=(2.0, 2.0, 8.0),
        acquisition_type="2D",
        slice_thickness_mm=5.0,
        phase=False,
        snr=60.0,
    ),
    "7t_swi": Protocol(
        b0_t=7.0,
        te_s=(0.012,),
        tr_s=0.025,
        flip_deg=12.0,
        shape=(320, 384, 128),
        spacing_mm=(0.6, 0.6, 1.2),
        fine=(2.0, 2.0, 2.0),
        snr=55.0,
        flow_compensated=True,
    ),
    "demo_light": Protocol(
        b0_t=3.0,
        te_s=(0.005, 0.0115, 0.018, 0.0245),
        tr_s=0.030,
        flip_deg=15.0,
        shape=(160, 192, 144),
        spacing_mm=(1.2, 1.2, 1.2),
        snr=80.0,
        head_mm=1.2,
    ),
    "3t_tiny": Protocol(
        b0_t=3.0,
        te_s=(0.006, 0.013, 0.020),
        tr_s=0.030,
        flip_deg=15.0,
        shape=(78, 95, 71),
        spacing_mm=(2.4, 2.4, 2.4),
        snr=100.0,
        head_mm=2.4,
    ),
}
"""Acquisitions by name; the first is the default."""

FIELD_OF_VIEW_MM = (188.0, 226.0, 158.0)
"""Least that a drawn protocol covers."""
FINEST_MM = 0.325
"""The simulation's grid is no finer in plane where voxels are drawn."""
RANDOM = "random"
"""The name that stands for a drawn protocol."""


def random_protocol(
    rng: np.random.Generator,
    light: bool = False,
    in_plane_mm: tuple[float, float] = (0.65, 1.1),
    aspect: tuple[float, float] = (1.0, 2.2),
) -> Protocol:
    """Draw an acquisition from the ranges in which scanners are used.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    light : bool
        Whether voxels are kept large (1.3 to 2 mm in plane), so that the scan is made within
        seconds.
    in_plane_mm : tuple of float
        Least and largest voxel in the plane of the slices [mm]. Below 0.65 mm there are fewer
        than two points of the simulation's grid to a voxel, which stays at `FINEST_MM`.
    aspect : tuple of float
        Least and largest thickness of 3D slices over it; none is below 1 mm.
    """
    b0 = float(rng.choice([1.5, 3.0, 7.0], p=[0.35, 0.5, 0.15]))
    kind = str(rng.choice(["swi", "megre", "2d"], p=[0.4, 0.4, 0.2]))
    in_plane = float(rng.uniform(*((1.3, 2.0) if light else in_plane_mm)))
    thick = max(in_plane * float(rng.uniform(*aspect)), 1.0)
    if kind == "2d":
        thick = float(rng.uniform(3.0, 6.0))
    longest = float(rng.uniform(0.050, 0.075)) / b0  # B0 x TE in T s
    n_echoes = int(rng.integers(3, 9)) if kind == "megre" else 1
    first = longest / n_echoes * float(rng.uniform(0.8, 1.0)) if n_echoes > 1 else longest
    te_s = tuple(round(float(te), 5) for te in np.linspace(first, longest, n_echoes))
    slices = thick * (1.0 if kind != "2d" else float(rng.uniform(1.0, 1.25)))
    spacing = (in_plane, in_plane, slices)
    points = min(2.0, in_plane / FINEST_MM)
    i, j, k = (int(np.ceil(f / d)) for f, d in zip(FIELD_OF_VIEW_MM, spacing, strict=True))
    return Protocol(
        b0_t=b0,
        te_s=te_s,
        tr_s=float(rng.uniform(0.4, 1.0)) if kind == "2d" else max(te_s) + 0.008,
        flip_deg=float(rng.uniform(10.0, 22.0)),
        shape=(i + i % 2, j + j % 2, k),
        spacing_mm=spacing,
        fine=(points, points, max(2.0, round(slices / 0.7))),
        acquisition_type="2D" if kind == "2d" else "3D",
        slice_thickness_mm=thick if kind == "2d" else None,
        tilt_deg=(float(rng.normal(0.0, 12.0)), float(rng.normal(0.0, 4.0))),
        phase=kind != "2d" or bool(rng.random() < 0.3),
        snr=float(rng.uniform(25.0, 90.0)),
        head_mm=2.0 if light else 1.0,
        flow_compensated=kind == "swi",
        phase_axis=int(rng.integers(0, 2)),
        acquired=float(rng.choice([1.0, rng.uniform(0.7, 1.0)])),
        partial_fourier=float(rng.choice([1.0, 0.875, 0.75], p=[0.6, 0.2, 0.2])),
        elliptical=kind != "2d" and bool(rng.random() < 0.3),
        bipolar=n_echoes > 1 and bool(rng.random() < 0.2),
        bandwidth_hz=float(rng.uniform(100.0, 400.0)),
        respiration_ppm=float(rng.choice([0.0, rng.uniform(0.0, 0.02)])),
        motion_mm=(moved := float(rng.choice([0.0, rng.uniform(0.0, 1.0)], p=[0.7, 0.3]))),
        motion_deg=moved,  # a head turns about its neck: 60 mm away a degree is a millimetre
        n_coils=int(rng.choice([1, 4], p=[0.5, 0.5] if light else [0.7, 0.3])),
        phase_filter=64 if kind == "swi" and rng.random() < 0.3 else None,
    )
