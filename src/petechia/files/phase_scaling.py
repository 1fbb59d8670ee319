"""Stored phase values to radians, whatever the vendor or converter did.

Every vendor stores a full turn as another range of numbers. A range is taken only when it is
certain: the file says so (rescale, units, manufacturer), or the values fill a known range to its
ends, or they fill a symmetric range evenly to both ends, as only wrapped phase does. Else the
caller is asked for the scale. The *sign* of the phase is not settled here.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_finite
from petechia.core.units import wrap
from petechia.errors import GridMismatchError, InputError, ParameterError

END_TOLERANCE = 0.03
"""How far from the end of a known range the extreme values may stay (part of the range)."""
OVERSHOOT = 2e-3
"""How far interpolation or rounding may carry values past the end of a range (part of it)."""
LEAST_CONTRAST, MUCH_SMALLER, FAR_SMALLER = 1.2, 8.0, 20.0
"""How many times smaller than all echoes' range one echo's is to be looked at; when it fills
another known range; when it fills no known one."""
ANTIPHASE = -0.25
"""Mean cosine between neighbouring slices, weighted by their signal, below which they alternate:
simulated scans of any thickness and noise lie above +0.1, and at its opposite when chopped."""
UNWRAPPED_LIMIT_RAD = 400.0
"""Phase said to be in radians may be unwrapped, but not further than this."""


@dataclass(frozen=True, slots=True, eq=False)
class PhaseRadians:
    """Phase in radians, and in words how it came to them."""

    phase_rad: npt.NDArray[np.float32]
    note: str


@dataclass(frozen=True, slots=True)
class Coding:
    """A known range of numbers that stands for one turn: low..high is -pi..pi or 0..2 pi."""

    name: str
    low: float
    high: float
    integer: bool
    middle: bool = False
    """True where the middle of the range is phase 0, and its two ends are one."""

    def fits(self, values: "Values", *, filled: bool) -> bool:
        """Whether `values` lie in this range and, if `filled`, reach its ends."""
        span = self.high - self.low
        if self.integer and not values.integer:
            return False
        if values.low < self.low - OVERSHOOT * span or values.high > self.high + OVERSHOOT * span:
            return False
        reach = END_TOLERANCE * span
        return not filled or (values.low <= self.low + reach and values.high >= self.high - reach)

    def radians(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return `x` in radians, -pi to pi."""
        if self.low == 0 and self.high in (4095.0, 65535.0):  # the middle is phase 0
            turn = self.high + 1
            return np.asarray((x - np.float32(turn / 2)) * np.float32(2 * np.pi / turn))
        if self.middle:
            x = x - np.float32((self.low + self.high) / 2)
            return np.asarray(x * np.float32(2 * np.pi / (self.high - self.low)))
        out = x * np.float32(2 * np.pi / (self.high - self.low))
        return wrap(out) if self.low == 0 else np.asarray(out, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Values:
    """What the choice is made from."""

    low: float
    high: float
    integer: bool


PI = float(np.pi)
RADIANS = Coding("radians, -pi..pi", -PI, PI, False)
SIEMENS_STORED = Coding("0..4095, 2048 is 0", 0.0, 4095.0, True)
SIEMENS_RESCALED = Coding("-4096..4096, 4096 is pi", -4096.0, 4096.0, False)
MILLIRADIANS = Coding("milliradians, -3142..3142", -1000 * PI, 1000 * PI, False)
CODINGS = (
    RADIANS,
    Coding("radians, 0..2 pi", 0.0, 2 * PI, False),
    SIEMENS_STORED,
    SIEMENS_RESCALED,
    MILLIRADIANS,
    Coding("milliradians, 0..6283", 0.0, 2000 * PI, False),
    Coding("-2048..2048, 2048 is pi", -2048.0, 2048.0, True),
    Coding("0..65535, 32768 is 0", 0.0, 65535.0, True),
    Coding("-32768..32767, 32768 is pi", -32768.0, 32768.0, True),
    Coding("degrees, -180..180", -180.0, 180.0, False),
    Coding("degrees, 0..360", 0.0, 360.0, False),
)
EVEN_CODINGS = (
    Coding("0..255, 127.5 is 0", 0.0, 255.0, True, middle=True),
    Coding("0..1000, 500 is 0", 0.0, 1000.0, True, middle=True),
    Coding("0..1, 0.5 is 0", 0.0, 1.0, False, middle=True),
)
"""Ranges that other images fill too: a turn only where the values fill them evenly."""
BY_VENDOR = {
    "siemens": (SIEMENS_STORED, SIEMENS_RESCALED),
    "philips": (MILLIRADIANS,),
    "ge": (MILLIRADIANS,),
}


def phase_to_radians(
    raw: npt.NDArray[np.generic],
    *,
    units_hint: str | None = None,
    manufacturer: str | None = None,
    rescale: tuple[float, float] | None = None,
    image_type: tuple[str, ...] = (),
    scale: float | None = None,
    where: str = "phase",
) -> PhaseRadians:
    """Return the phase in radians.

    Parameters
    ----------
    raw : (..., I, J, K) ndarray
        Values of *all* echoes of a scan together, so that all are scaled alike: stored
        values when `rescale` is given, final ones when it is not.
    units_hint : str, optional
        What a header or sidecar calls the unit: 'rad', 'mrad', 'degrees' are heeded
        when the values do not contradict them.
    manufacturer : str, optional
        Decides where the values do not fill a range to its ends.
    rescale : (slope, intercept), optional
        Applied first; it also tells the full range of a 10- to 16-bit coding.
    image_type : tuple of str
        DICOM ImageType; magnitude in it is refused.
    scale : float, optional
        The user's own factor from (rescaled) values to radians: beats everything else.
    where : str
        File or argument named in errors.

    Returns
    -------
    PhaseRadians
        `phase_rad` float32 of the shape of `raw`, in -pi..pi unless the input was
        unwrapped radians; `note` tells the range in words.

    Raises
    ------
    InputError
        Values not finite, all equal, or of a range that is not certain to be a turn: the
        message tells the range and asks for --phase-scale. An echo that fills the range of
        another unit than the echoes together.
    ParameterError
        `scale` that cannot be right.
    """
    require_finite(raw, where)
    x = np.asarray(raw, dtype=np.float32)
    if rescale is not None and rescale != (1.0, 0.0):
        x = x * np.float32(rescale[0]) + np.float32(rescale[1])
    low, high = float(x.min()), float(x.max())
    if low == high:
        raise InputError(
            f"all voxels are {low:g}",
            where=where,
            mend="The phase image is empty: check the conversion, or leave the phase out.",
        )
    if scale is not None:
        return _by_scale(x, scale, low, high, where)
    if "M" in image_type and "P" not in image_type:
        raise InputError(
            f"image type {'/'.join(image_type)} says magnitude, not phase",
            where=where,
            mend="Give the phase image, or leave the phase out.",
        )
    values = Values(low, high, bool(np.array_equal(x, np.rint(x))))
    coding = (
        _by_units(units_hint, values)
        or _by_rescale(rescale, values)
        or next((c for c in CODINGS if c.fits(values, filled=True)), None)
        or _by_vendor(manufacturer, values)
    )
    if coding is not None:
        _require_one_coding(x, coding, where)
        return PhaseRadians(coding.radians(x), coding.name)
    if _says_radians(units_hint) and max(-low, high) <= UNWRAPPED_LIMIT_RAD:
        return PhaseRadians(x, f"radians, unwrapped ({low:.4g}..{high:.4g})")
    coding = next((c for c in EVEN_CODINGS if c.fits(values, filled=True)), None)
    if coding is not None and filled_limit(_about_middle(x, coding)) is not None:
        _require_one_coding(x, coding, where)
        return PhaseRadians(coding.radians(x), f"{coding.name}, evenly filled: taken as a turn")
    limit = filled_limit(x)
    if limit is not None:
        note = f"scaled by {PI / limit:.6g}: the values fill +-{limit:.4g} evenly, taken as +-pi"
        return PhaseRadians(x * np.float32(PI / limit), note)
    raise InputError(
        f"phase values from {low:.6g} to {high:.6g} are no known range of a full turn",
        where=where,
        mend="Give --phase-scale K, the factor from these values to radians "
        "(3.14159 divided by the value that stands for half a turn; 1 for radians).",
    )


def _about_middle(x: npt.NDArray[np.float32], coding: Coding) -> npt.NDArray[np.float32]:
    """Return the values but 0, which stands for a mask too, about the middle of a range."""
    return np.asarray(x[x != 0] - np.float32((coding.low + coding.high) / 2))


def _require_one_coding(x: npt.NDArray[np.float32], coding: Coding, where: str) -> None:
    """Raise `InputError` for an echo that is stored in another unit than the others.

    A short echo or a filtered one may use little of the range, so that alone tells nothing:
    it must fill another known range to its ends, and that be much smaller or filled evenly;
    or evenly fill a very small range.
    """
    if x.ndim < 4 or len(x) < 2:
        return
    for n, echo in enumerate(x, start=1):
        low, high = float(echo.min()), float(echo.max())
        smaller = (coding.high - coding.low) / max(high - low, 1e-30)
        if smaller < LEAST_CONTRAST:
            continue
        own = Values(low, high, bool(np.array_equal(echo, np.rint(echo))))
        other = next((c for c in CODINGS if c.fits(own, filled=True)), None)
        even = filled_limit(echo - np.float32((low + high) / 2)) is not None
        if (other and (even or smaller > MUCH_SMALLER)) or (even and smaller > FAR_SMALLER):
            named = f" ({other.name})" if other else ""
            raise InputError(
                f"the phase of echo {n} runs from {low:.6g} to {high:.6g}{named}, that of the "
                f"echoes together from {float(x.min()):.6g} to {float(x.max()):.6g} "
                f"({coding.name}): they are stored in different units",
                where=where,
                mend="Convert the echoes again, all alike; or leave the odd one out.",
            )


def _by_scale(
    x: npt.NDArray[np.float32], scale: float, low: float, high: float, where: str
) -> PhaseRadians:
    """Return `x` times the user's own scale, if that can be."""
    span = abs(scale) * (high - low)
    if not (np.isfinite(scale) and 0.05 <= span <= 2 * UNWRAPPED_LIMIT_RAD):
        raise ParameterError(
            f"--phase-scale {scale:g} makes values from {low:.6g} to {high:.6g} "
            f"span {span:.4g} radians",
            where=where,
            mend="A full turn is 6.283 radians: give 3.14159 divided by the value that stands "
            "for half a turn.",
        )
    return PhaseRadians(x * np.float32(scale), f"times {scale:g} (--phase-scale)")


def _says_radians(units: str | None) -> bool:
    return (units or "").strip().lower() in ("rad", "radian", "radians")


def _by_units(units: str | None, values: Values) -> Coding | None:
    """Return the range of a stated unit, when the values lie in it."""
    text = (units or "").strip().lower()
    stems = ("milliradian",) if text.startswith(("mrad", "millirad")) else ()
    stems = ("degree",) if text.startswith("deg") else stems
    stems = ("radian",) if _says_radians(units) else stems
    named = [c for c in CODINGS if stems and c.name.startswith(stems)]
    return next((c for c in named if c.fits(values, filled=False)), None)


def _by_rescale(rescale: tuple[float, float] | None, values: Values) -> Coding | None:
    """Return the known symmetric range onto which `rescale` maps a whole 10- to 16-bit coding."""
    if rescale is None or rescale[0] <= 0 or rescale[1] >= 0:
        return None
    slope, intercept = rescale
    bits = np.log2(-2 * intercept / slope)
    if not (9.9 < bits < 16.1 and abs(bits - round(bits)) < 0.015):
        return None
    symmetric = (c for c in CODINGS if c.low < 0 and abs(intercept / c.low - 1) < 0.01)
    return next((c for c in symmetric if c.fits(values, filled=False)), None)


def _by_vendor(manufacturer: str | None, values: Values) -> Coding | None:
    """Return the maker's own integer range, when the values use a good part of it."""
    name = (manufacturer or "").lower()
    if not values.integer:
        return None
    for vendor, codings in BY_VENDOR.items():
        if name.startswith(vendor):
            for coding in codings:
                used = (values.high - values.low) / (coding.high - coding.low)
                # on one side of 0 alone it is another coding, whose middle is no 0
                if coding.low < 0 and not values.low < 0 < values.high:
                    continue
                if used > 0.1 and coding.fits(values, filled=False):
                    return coding
    return None


def filled_limit(x: npt.NDArray[np.floating], n_bins: int = 64) -> float | None:
    """Return the limit m when values fill -m..m evenly to both ends, as wrapped phase does.

    The density of wrapped phase runs on across the wrap: the outermost bins hold about as
    much as their neighbours and as each other. Filtered or unwrapped phase fades out instead.
    Exact zeros (outside a mask) are left out.
    """
    low, high = float(x.min()), float(x.max())
    limit = max(-low, high)
    if not (low < 0 < high) or abs(low + high) > 0.02 * limit:
        return None
    counts, _ = np.histogram(x[x != 0], bins=n_bins, range=(-limit, limit))
    if counts.sum() < 20 * n_bins:
        return None
    left, right = float(counts[:2].mean()), float(counts[-2:].mean())
    inner = float(np.mean([counts[2:8].mean(), counts[-8:-2].mean()]))
    even = min(left, right) >= 0.5 * inner and max(left, right) <= 2 * inner
    enough = min(left, right) >= 0.05 * counts.mean()
    return limit if even and enough and counts.min() > 0 else None


def complex_to_polar(
    real: npt.NDArray[np.floating],
    imaginary: npt.NDArray[np.floating],
    *,
    slice_axis: int = -1,
    where: str = "real and imaginary parts",
) -> tuple[npt.NDArray[np.float32], PhaseRadians]:
    """Return magnitude and phase of a real and an imaginary image.

    Some scanners write 3D complex images whose sign alternates from slice to slice (the
    shift of the slice transform was left out). It is found as neighbouring slices being
    in antiphase throughout, undone, and told in the note.

    Parameters
    ----------
    real, imaginary : (..., I, J, K) ndarray of float
        After rescaling; signed.
    slice_axis : int
        Axis along which slices lie.
    where : str
        Named in errors.

    Raises
    ------
    GridMismatchError
        Shapes differ.
    InputError
        Values not finite, all zero, or without negative numbers (an offset was left in).
    """
    if real.shape != imaginary.shape:
        raise GridMismatchError(
            f"real part of shape {real.shape}, imaginary part of shape {imaginary.shape}",
            where=where,
            mend="Give both parts of the same image.",
        )
    for part, name in ((real, "real"), (imaginary, "imaginary")):
        require_finite(part, f"{where} ({name})")
        if not (part.min() < 0 < part.max()):
            raise InputError(
                f"{name} values run from {float(part.min()):g} to {float(part.max()):g}: "
                "they never change sign",
                where=where,
                mend="Convert again with the rescale intercept applied.",
            )
    signal = np.empty(real.shape, dtype=np.complex64)
    signal.real, signal.imag = real, imaginary
    note = "real and imaginary parts"
    if slices_alternate(signal, slice_axis):
        signs = np.ones(signal.shape[slice_axis], dtype=np.float32)
        signs[1::2] = -1
        signal = np.moveaxis(np.moveaxis(signal, slice_axis, -1) * signs, -1, slice_axis)
        note += ", sign alternating between slices undone"
    magnitude = np.abs(signal).astype(np.float32)
    return magnitude, PhaseRadians(np.angle(signal).astype(np.float32), note)


def slices_alternate(signal: npt.NDArray[np.complexfloating], slice_axis: int = -1) -> bool:
    """Whether neighbouring slices of a complex image are in antiphase throughout.

    Parameters
    ----------
    signal : (..., I, J, K) ndarray of complex
        Every echo must alternate: the alternation does not grow with the echo time, as a
        field's phase does.
    slice_axis : int
        Axis along which slices lie.
    """
    axis = slice_axis if slice_axis < 0 else slice_axis - signal.ndim
    return _in_antiphase(signal.reshape(-1, *signal.shape[-3:]), axis)


def _in_antiphase(echoes: Iterable[npt.NDArray[np.complexfloating]], axis: int) -> bool:
    cosine, weight = 0.0, 0.0
    for echo in echoes:
        planes = np.moveaxis(echo, axis, 0)
        if len(planes) < 4:
            return False
        products = planes[1:] * planes[:-1].conj()
        along = float(products.real.sum(dtype=np.float64))
        if along >= 0:
            return False
        cosine += along
        weight += float(np.abs(products).sum(dtype=np.float64))
    return weight > 0 and cosine < ANTIPHASE * weight


def without_alternation(
    phase: PhaseRadians,
    magnitude: npt.NDArray[np.float32],
    slice_axis: int = -1,
) -> PhaseRadians:
    """Return the phase with pi taken off every second slice, where slices are in antiphase.

    Phase images of scanners that leave out the shift of the slice transform alternate as
    their complex images do (see `complex_to_polar`). Pi on every second slice is a linear
    phase along the slices, so that a field this would be taken for is a background field.

    Parameters
    ----------
    phase : PhaseRadians
        (E, I, J, K), wrapped or not; told in its note when it is changed.
    magnitude : (E, I, J, K) ndarray of float32
        Weights the voxels.
    slice_axis : int
        Axis along which slices lie, from the last: -3, -2 or -1.
    """
    pairs = zip(magnitude, phase.phase_rad, strict=True)
    signals = (m * np.exp(np.complex64(1j) * p) for m, p in pairs)
    if not _in_antiphase(signals, slice_axis):
        return phase
    turned = np.moveaxis(phase.phase_rad, slice_axis, -1).copy()
    turned[..., 1::2] += np.float32(np.pi)
    out = np.ascontiguousarray(np.moveaxis(wrap(turned), -1, slice_axis), dtype=np.float32)
    return PhaseRadians(out, f"{phase.note}, pi alternating between slices undone")
