"""One finding, in the words and digits of the output contract."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from petechia.errors import InputError

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
        "source_x_mm": 2, "source_y_mm": 2, "source_z_mm": 2, "iron_ug": 2, "iron_se_ug": 2,
        "ct_hu": 0,
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
SOURCE_COLUMNS = ("source_x_mm", "source_y_mm", "source_z_mm", "iron_ug", "iron_se_ug")
"""Columns of the magnetic source: its place, and its iron."""
NO_CALCIUM_PLACE = "no usual place of calcium"
"""The criterion that a finding lies where healthy people have no calcium either."""
EXTRA_COLUMNS = (*SOURCE_COLUMNS, "criteria", "ct_hu", "ct_calcified")
"""Columns that follow the contract's."""
IRON_PPM_MM3_UG = 1.296
"""Moment of 1 ug of iron in ferritin or hemosiderin at 37 C [ppm mm^3]."""
IRON_ERROR = 0.3
"""How far that number may be off: blood of another stage is not hemosiderin."""


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
    ct_hu, ct_calcified : float, bool or None
        Density on a CT of the same person [HU], and whether only calcium is so dense.
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
    ct_hu: float | None = None
    ct_calcified: bool | None = None

    @property
    def is_hematoma(self) -> bool:
        """Whether it is a bleed wider than 10 mm, and not as dense on CT as calcium."""
        return self.class_ == "macrobleed" and not self.ct_calcified

    @property
    def may_be_calcium(self) -> bool:
        """Whether it lies where calcium is usual, and nothing told its sign."""
        return self.sign == "not_assessed" and self.criteria.get(NO_CALCIUM_PLACE) == "not met"

    @property
    def iron_ug(self) -> tuple[float, float] | None:
        """Mass of iron and its standard error [ug]; None but for blood whose sign is clear.

        Taken as hemosiderin: fresher blood has another moment for its iron.
        """
        moment, error = self.moment_ppm_mm3, self.moment_se_ppm_mm3
        blood = self.class_ in ("microbleed", "macrobleed") and self.sign == "paramagnetic"
        if not blood or moment is None or error is None:
            return None
        mass = moment / IRON_PPM_MM3_UG
        return mass, math.hypot(error / IRON_PPM_MM3_UG, IRON_ERROR * mass)

    def row(self) -> dict[str, str]:
        """Return the row of the table: contract columns first, then the extra ones."""
        source = self.source_mm or (None, None, None)
        extra = dict(zip(SOURCE_COLUMNS, (*source, *(self.iron_ug or (None, None))), strict=True))
        out = {}
        for column in (*COLUMNS, *EXTRA_COLUMNS):
            if column == "criteria":
                out[column] = "; ".join(f"{k}: {v}" for k, v in self.criteria.items()) or "n/a"
            elif column in extra:
                out[column] = _number(extra[column], DIGITS[column])
            elif column == "ct_calcified":
                told = self.ct_calcified
                out[column] = "n/a" if told is None else str(int(told))
            elif column == "class":
                out[column] = self.class_
            elif column == "counted":
                out[column] = str(int(self.counted))
            elif column in DIGITS:
                out[column] = _number(getattr(self, column), DIGITS[column])
            else:
                out[column] = " ".join(str(getattr(self, column)).split())
        return out


def from_row(row: Mapping[str, str]) -> Finding:
    """Return the finding of a row of the table: the reverse of `Finding.row`.

    A finding that only a reader saw has no probability in the table: here it is certain,
    1 when it is counted and 0 when not. A size that was not measured is not a number.

    Raises
    ------
    InputError
        A number of the contract's columns is none.
    """
    counted = row["counted"] == "1"
    number = {name: _read(row, name) for name in DIGITS}
    known = {name: math.nan if value is None else value for name, value in number.items()}
    source = (known["source_x_mm"], known["source_y_mm"], known["source_z_mm"])
    judged = (part.rpartition(": ") for part in row.get("criteria", "n/a").split("; "))
    return Finding(
        index=int(row["index"]),
        name=row["name"],
        class_=row["class"],
        sign=row["sign"],
        probability=float(counted) if number["probability"] is None else known["probability"],
        counted=counted,
        mars=row["mars"],
        x_mm=known["x_mm"],
        y_mm=known["y_mm"],
        z_mm=known["z_mm"],
        volume_mm3=known["volume_mm3"],
        diameter_mm=known["diameter_mm"],
        moment_ppm_mm3=number["moment_ppm_mm3"],
        moment_se_ppm_mm3=number["moment_se_ppm_mm3"],
        chi_mean_ppm=number["chi_mean_ppm"],
        side=row["side"],
        site=row["site"],
        compartment=row["compartment"],
        parenchyma_fraction=number["parenchyma_fraction"],
        sphericity=number["sphericity"],
        margin_sharpness=number["margin_sharpness"],
        homogeneity=number["homogeneity"],
        evidence=row["evidence"],
        criteria={name: word for name, mark, word in judged if mark},
        source_mm=None if math.isnan(sum(source)) else source,
        ct_hu=number["ct_hu"],
        ct_calcified={"1": True, "0": False}.get(row.get("ct_calcified", "n/a")),
    )


def _read(row: Mapping[str, str], name: str) -> float | None:
    """Return a number of the table; None for "n/a" and for a column that is not there."""
    text = row.get(name, "n/a")
    try:
        return None if text in ("n/a", "") else float(text)
    except ValueError:
        raise InputError(
            f"{name} is {text!r}",
            where=f"finding {row.get('index', '?')}",
            mend="Give a number or n/a.",
        ) from None


def _number(value: float | None, digits: int) -> str:
    """Return `value` with its stated digits; never "-0.00", "n/a" for None."""
    if value is None:
        return "n/a"
    rounded = round(value, digits)
    return f"{rounded + 0.0:.{digits}f}"
