"""One finding, in the words and digits of the output contract."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

CLASSES = (
    "microbleed", "macrobleed", "calcification", "vessel", "iron", "air_tissue", "siderosis",
    "undetermined",
)  # fmt: skip
SIGNS = ("paramagnetic", "diamagnetic", "unclear", "not_assessed")
DIGITS: Mapping[str, int] = MappingProxyType(
    {
        "probability": 3, "x_mm": 2, "y_mm": 2, "z_mm": 2, "volume_mm3": 2, "diameter_mm": 1,
        "moment_ppm_mm3": 2, "moment_se_ppm_mm3": 2, "chi_mean_ppm": 3,
        "parenchyma_fraction": 2, "sphericity": 2, "margin_sharpness": 2, "homogeneity": 2,
        "source_x_mm": 2, "source_y_mm": 2, "source_z_mm": 2,
    }
)  # fmt: skip
"""Digits after the point of each number in the table."""
COLUMNS = (
    "index", "name", "class", "sign", "probability", "counted", "mars", "x_mm", "y_mm", "z_mm",
    "volume_mm3", "diameter_mm", "moment_ppm_mm3", "moment_se_ppm_mm3", "chi_mean_ppm", "side",
    "site", "compartment", "parenchyma_fraction", "sphericity", "margin_sharpness", "homogeneity",
    "evidence",
)  # fmt: skip
"""The contract's columns, in order."""
EXTRA_COLUMNS = ("source_x_mm", "source_y_mm", "source_z_mm", "criteria")
"""Columns that follow the contract's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One dark spot: where, how large, what, and why.

    Attributes are the contract's columns (`class_` is the column `class`), with None for
    what was not or could not be measured; sizes are apparent at the reading echo.

    Attributes
    ----------
    criteria : dict of str to str
        Each criterion of the definition: "met", "not met" or "not assessed".
    source_mm : tuple of float, or None
        Centre of the magnetic source, fitted below the voxel, scanner RAS [mm].
    """

    index: int
    name: str
    class_: str
    sign: str
    probability: float
    counted: bool
    mars: str
    x_mm: float
    y_mm: float
    z_mm: float
    volume_mm3: float
    diameter_mm: float
    moment_ppm_mm3: float | None
    moment_se_ppm_mm3: float | None
    chi_mean_ppm: float | None
    side: str
    site: str
    compartment: str
    parenchyma_fraction: float | None
    sphericity: float | None
    margin_sharpness: float | None
    homogeneity: float | None
    evidence: str
    criteria: Mapping[str, str] = field(default_factory=dict)
    source_mm: tuple[float, float, float] | None = None

    def row(self) -> dict[str, str]:
        """Return the row of the table: contract columns first, then the extra ones."""
        source = self.source_mm or (None, None, None)
        extra = dict(zip(("source_x_mm", "source_y_mm", "source_z_mm"), source, strict=True))
        out = {}
        for column in (*COLUMNS, *EXTRA_COLUMNS):
            if column == "criteria":
                out[column] = "; ".join(f"{k}: {v}" for k, v in self.criteria.items()) or "n/a"
            elif column in extra:
                out[column] = _number(extra[column], DIGITS[column])
            elif column == "class":
                out[column] = self.class_
            elif column == "counted":
                out[column] = str(int(self.counted))
            elif column in DIGITS:
                out[column] = _number(getattr(self, column), DIGITS[column])
            else:
                out[column] = " ".join(str(getattr(self, column)).split())
        return out


def _number(value: float | None, digits: int) -> str:
    """Return `value` with its stated digits; never "-0.00", "n/a" for None."""
    if value is None:
        return "n/a"
    rounded = round(value, digits)
    return f"{rounded + 0.0:.{digits}f}"
