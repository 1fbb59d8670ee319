"""What a CT says of findings: calcium is not counted as blood, and nothing else changes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from petechia.lesions.findings import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class CtReading:
    """Density at one finding.

    Attributes
    ----------
    hu : float or None
        High percentile within the void and the uncertainty of the registration [HU].
    calcified : bool or None
        Whether that is as dense as calcium alone can be.
    says : str
        Why it was not read.
    """

    hu: float | None
    calcified: bool | None
    says: str = ""


def with_ct(
    findings: tuple[Finding, ...], readings: Mapping[int, CtReading]
) -> tuple[Finding, ...]:
    """Return findings with what a CT says of each.

    A microbleed that is calcified on CT becomes a calcification and is not counted: a
    microbleed is not dense. Never the reverse: what is not dense on CT may still be calcium
    too small to be seen there, and keeps its class. The probability stays that of the MRI.

    Parameters
    ----------
    findings : tuple of Finding
        Of the gradient echo.
    readings : mapping of int to CtReading
        By the finding's index; a finding without one stays as it is.
    """
    taken = [f.name for f in findings if f.class_ == "calcification"]
    out = []
    for finding in findings:
        reading = readings.get(finding.index)
        if reading is None:
            out.append(finding)
            continue
        told = replace(
            finding,
            ct_hu=reading.hu,
            ct_calcified=reading.calcified,
            evidence=f"{finding.evidence}; {_words(finding, reading)}".removeprefix("; "),
        )
        if reading.calcified and finding.class_ == "microbleed":
            name = f"calcification {len(taken) + 1}"
            taken.append(name)
            told = replace(told, name=name, class_="calcification", counted=False, mars="n/a")
        out.append(told)
    return tuple(out)


def _words(finding: Finding, reading: CtReading) -> str:
    if reading.hu is None:
        return f"CT not read here ({reading.says})"
    if not reading.calcified:
        return f"CT {reading.hu:.0f} HU here"
    words = f"CT {reading.hu:.0f} HU here: calcification"
    if finding.sign == "paramagnetic":
        words += "; against its phase, which says blood: look at both"
    return words
