"""Whether a void is darker than its moment can make it: iron that is spread out."""

from dataclasses import dataclass

import numpy as np

from petechia.errors import ParameterError
from petechia.lesions.classify import Features, ramp


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffuseParams:
    """Settings of `diffuseness`, set on simulated scans of people never trained on.

    Attributes
    ----------
    more : tuple of two floats
        Moment that the void asks for over that of its field: nothing is told up to the first,
        all from the second.
    errors : tuple of two floats
        The same for their difference over its standard error.
    log_odds : float
        What spread-out iron takes from the log-odds of a microbleed.
    """

    more: tuple[float, float] = (1.5, 2.0)
    errors: tuple[float, float] = (1.5, 2.5)
    log_odds: float = 3.5

    def __post_init__(self) -> None:
        if (
            not 1 <= self.more[0] < self.more[1]
            or not 0 <= self.errors[0] < self.errors[1]
            or self.log_odds < 0
        ):
            raise ParameterError(
                f"{self}",
                where="DiffuseParams",
                mend="more and errors two rising numbers, more from 1, errors from 0; log_odds "
                "at least 0.",
            )


def diffuseness(f: Features, params: DiffuseParams | None = None) -> float:
    """Return how much a void is like iron that is spread out, 0 to 1.

    What makes a microbleed dark is the field of its moment: a point's dephasing, fitted to the
    void, gives the moment that the field around it has. Where iron lies spread over some
    millimetres its own decay darkens it, and the void asks for two or three times that moment.
    """
    p = params or DiffuseParams()
    if f.fit is None or f.dephasing is None or f.fit.moment_ppm_mm3 <= 0:
        return 0.0
    by_field, by_void = f.fit.moment_ppm_mm3, f.dephasing.moment_ppm_mm3
    error = float(np.hypot(f.fit.se_ppm_mm3, f.dephasing.se_ppm_mm3))
    more = ramp(by_void / by_field, *p.more)
    return more * ramp((by_void - by_field) / max(error, 1e-9), *p.errors)
