"""What a run reads off its maps beside microbleeds: nuclei, venous oxygen, large bleeds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from petechia.report.data import ReportData, number
from petechia.report.language import said, t
from petechia.report.wording import number_text, plain


@dataclass(frozen=True, slots=True)
class Beside:
    """Tables of the section; empty lists where a run has nothing to say."""

    nuclei: list[dict[str, str]] = field(default_factory=list)
    nuclei_says: str = ""
    reference: str = ""
    oxygen: list[tuple[str, str]] = field(default_factory=list)
    bleeds: list[dict[str, str]] = field(default_factory=list)

    @property
    def any(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.nuclei or self.oxygen or self.bleeds)


def beside(data: ReportData) -> Beside:
    """Return the section's tables, every value in words."""
    told = data.summary.get("nuclei") or {}
    return Beside(
        nuclei=[_nucleus(row) for row in told.get("rows") or ()],
        nuclei_says=said(plain(told.get("says") or "")),
        reference=said(plain(told.get("reference") or "")),
        oxygen=_oxygen(data.summary.get("venous_oxygenation") or {}),
        bleeds=[_bleed(row) for row in data.summary.get("hematomas") or ()],
    )


def _nucleus(row: Mapping[str, Any]) -> dict[str, str]:
    low, high = row.get("quartiles_ppm") or (None, None)
    iron, made = row.get("expected_iron_mg_per_100g"), row.get("expected_ppm")
    return {
        "name": f"{said(plain(row.get('side', '')))} {said(plain(row.get('name', '')))}",
        "chi": number_text(row.get("chi_ppm"), 3, "ppm"),
        "quartiles": f"{number_text(low, 3)} \N{EN DASH} {number_text(high, 3)}",
        "volume": number_text(row.get("volume_mm3"), 0, "mm³"),
        "iron": t("age not known") if iron is None else f"{iron[0]:.1f} ± {iron[1]:.1f}",
        "made": "" if made is None else f"{made[0]:.2f} ± {made[1]:.2f}",
    }


def _oxygen(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not told:
        return []
    value, bounds = number(told.get("saturation")), told.get("interval_95")
    says = said(plain(told.get("says") or ""))
    if value is None or not bounds:
        return [(t("Venous oxygen saturation"), t("not estimated: {why}", why=says))]
    low, high = (100 * float(bound) for bound in bounds)
    answer = t("{value} % (95 % interval {low} to {high} %)", value=f"{100 * value:.0f}",
               low=f"{low:.0f}", high=f"{high:.0f}")  # fmt: skip
    return [
        (t("Venous oxygen saturation"), answer),
        (t("Rests on"), says),
    ]


def _bleed(row: Mapping[str, Any]) -> dict[str, str]:
    a, b, c = row.get("diameters_mm") or (None, None, None)
    return {
        "name": said(plain(row.get("name", ""))),
        "volume": number_text(row.get("volume_ml"), 1, "ml"),
        "abc2": number_text(row.get("abc2_ml"), 1, "ml"),
        "size": " \N{MULTIPLICATION SIGN} ".join(number_text(v, 0) for v in (a, b, c)) + " mm",
        "stage": said(plain(row.get("says", ""))),
    }
