"""The scanners: field, timing, voxels, and how a vendor stores phase."""

from dataclasses import dataclass

from petechia.errors import ParameterError
from second.tissue import FIELDS_T

PHASES = ("stored", "filtered", "none")
VENDORS = ("Siemens", "GE", "Philips")


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """One way to scan.

    Attributes
    ----------
    b0_t : float
        One of 1.5, 3 and 7.
    te_s : tuple of float
        Echo times.
    tr_s, flip_deg : float
        Of the spoiled gradient echo.
    voxel_mm : tuple of float
        The third is the slice.
    shape : tuple of int
        Voxels.
    refine : tuple of int
        Fine voxels to a voxel, along each axis.
    snr : float
        Median of the brain at the first echo over the noise of either channel.
    manufacturer : str
        Of `VENDORS`; by it phase is stored.
    tilt_deg : tuple of float
        Turn of the slab about x, y and z.
    handedness : int
        +1 when phase grows where the field is higher, else -1.
    phase : str
        'stored', 'filtered' (homodyne: what is smooth in a slice is gone), or 'none'.
    in_slices : bool
        Slices are excited one by one ('2D').
    sagittal : bool
        Stored as sagittal slices.
    """

    b0_t: float
    te_s: tuple[float, ...]
    tr_s: float
    flip_deg: float
    voxel_mm: tuple[float, float, float]
    shape: tuple[int, int, int]
    refine: tuple[int, int, int] = (2, 2, 2)
    snr: float
    manufacturer: str
    tilt_deg: tuple[float, float, float]
    handedness: int = 1
    phase: str = "stored"
    in_slices: bool = False
    sagittal: bool = False

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("b0_t", self.b0_t, FIELDS_T),
            ("manufacturer", self.manufacturer, VENDORS),
            ("handedness", self.handedness, (1, -1)),
            ("phase", self.phase, PHASES),
        ):
            if value not in allowed:
                raise ParameterError(
                    f"{value!r} is unknown",
                    where=f"Protocol.{name}",
                    mend=f"Use one of {', '.join(map(str, allowed))}.",
                )


_FIVE_ECHOES = (5e-3, 10e-3, 15e-3, 20e-3, 25e-3)
PROTOCOLS = {
    "3t_megre_siemens": Protocol(
        b0_t=3.0, te_s=_FIVE_ECHOES, tr_s=0.032, flip_deg=15, voxel_mm=(1.0, 1.0, 1.0),
        shape=(204, 240, 168), snr=55, manufacturer="Siemens", tilt_deg=(3, 0, 0),
    ),
    "3t_megre_ge_sagittal": Protocol(
        b0_t=3.0, te_s=_FIVE_ECHOES, tr_s=0.032, flip_deg=15, voxel_mm=(1.0, 1.0, 1.0),
        shape=(204, 240, 168), snr=50, manufacturer="GE", tilt_deg=(-8, 4, 2), handedness=-1,
        sagittal=True,
    ),
    "3t_megre_philips_no_phase": Protocol(
        b0_t=3.0, te_s=_FIVE_ECHOES, tr_s=0.035, flip_deg=16, voxel_mm=(1.2, 1.2, 1.2),
        shape=(170, 200, 140), snr=60, manufacturer="Philips", tilt_deg=(0, 0, 5), phase="none",
    ),
    "3t_swi_oblique": Protocol(
        b0_t=3.0, te_s=(20e-3,), tr_s=0.028, flip_deg=15, voxel_mm=(0.7, 0.7, 1.5),
        shape=(288, 336, 108), refine=(2, 2, 3), snr=32, manufacturer="Siemens",
        tilt_deg=(20, 0, 3), handedness=-1,
    ),
    "3t_swi_filtered": Protocol(
        b0_t=3.0, te_s=(20e-3,), tr_s=0.028, flip_deg=15, voxel_mm=(0.7, 0.7, 1.5),
        shape=(288, 336, 108), refine=(2, 2, 3), snr=32, manufacturer="Siemens",
        tilt_deg=(6, 0, 0), handedness=-1, phase="filtered",
    ),
    "1.5t_2d_5mm_no_phase": Protocol(
        b0_t=1.5, te_s=(25e-3,), tr_s=0.7, flip_deg=20, voxel_mm=(0.9, 0.9, 5.0),
        shape=(224, 264, 32), refine=(2, 2, 10), snr=50, manufacturer="GE", tilt_deg=(10, 0, 0),
        phase="none", in_slices=True,
    ),
    "1.5t_swi_2mm": Protocol(
        b0_t=1.5, te_s=(40e-3,), tr_s=0.049, flip_deg=15, voxel_mm=(0.8, 0.8, 2.0),
        shape=(252, 300, 80), refine=(2, 2, 4), snr=28, manufacturer="Siemens",
        tilt_deg=(12, 0, 0), handedness=-1,
    ),
    "7t_megre_philips": Protocol(
        b0_t=7.0, te_s=(5e-3, 10e-3, 15e-3), tr_s=0.03, flip_deg=7, voxel_mm=(0.6, 0.6, 1.0),
        shape=(336, 396, 156), snr=40, manufacturer="Philips", tilt_deg=(5, 0, 0),
    ),
}  # fmt: skip
"""A scan without lesions is one of these with no microbleeds asked for."""
