"""What this scan can and cannot answer, said before and beside every result.

Thresholds are engineering choices, written down with their reasons in `docs/concepts/fitness.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from petechia.core.echoes import Echoes, reading_echo
from petechia.errors import UnfitError
from petechia.files.scan import Header

Status = Literal["ok", "limited", "refused", "unknown"]

BLOOM_REFUSED_TS, BLOOM_LIMITED_TS = 0.03, 0.045
IN_PLANE_REFUSED_MM, IN_PLANE_LIMITED_MM = 2.0, 1.25
SLICE_REFUSED_MM, SLICE_LIMITED_MM = 7.0, 3.0
SNR_REFUSED, SNR_LIMITED = 4.0, 10.0
BRAIN_ML_LIMITED = 2500.0
GHOST_LIMITED, GHOST_REFUSED = 0.05, 0.15
MASK_OUTSIDE_LIMITED, MASK_OUTSIDE_REFUSED = 0.01, 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One fact about the scan and what it forbids.

    Attributes
    ----------
    check : str
        What was looked at.
    status : str
        'ok', 'limited', 'refused' or 'unknown'.
    value : str
        The measured or stated value.
    says : str
        One sentence for the reader.
    forbids : tuple of str
        Answers that cannot be given: 'microbleeds', 'susceptibility', 'sign', 'r2star', 'sites'.
    """

    check: str
    status: Status
    value: str
    says: str
    forbids: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, str]:
        """Return the row of the summary and the report."""
        return {
            "check": self.check,
            "status": self.status,
            "value": self.value,
            "says": self.says,
        }


def spacing_text(echoes: Echoes) -> str:
    """Return the voxel as people write it: `0.9x0.9x5 mm`."""
    return "x".join(f"{d:.3g}" for d in echoes.grid.spacing_mm) + " mm"


def te_text(echoes: Echoes, echo: int) -> str:
    """Return an echo time in milliseconds."""
    return f"TE {1000 * echoes.te_s[echo]:.4g} ms"


def check_acquisition(echoes: Echoes, header: Header, *, given_field: bool = False) -> list[Check]:
    """Return the checks that need only header facts and the grid.

    With a total field given by the user, phase need not be there.
    """
    return [
        _field(echoes),
        _bloom(echoes),
        _in_plane(echoes),
        _slices(echoes, header),
        _dimension(header),
        _phase_present(echoes, given_field),
        _relaxation(echoes),
        *_weighted(header),
    ]


def _field(echoes: Echoes) -> Check:
    value = f"{echoes.b0_t:.4g} T"
    if echoes.b0_t < 1.0:
        return Check(
            check="main field",
            status="limited",
            value=value,
            says=f"{value}: below the 1.5, 3 and 7 T at which microbleeds are usually read; "
            "small ones may not bloom enough to be seen.",
        )
    return Check(check="main field", status="ok", value=value, says="A usual field.")


AT_3_T = 0.2
"""So near to 3 T an echo time needs no equal at 3 T."""


def _bloom(echoes: Echoes) -> Check:
    echo = reading_echo(echoes.te_s, echoes.b0_t)
    bloom = echoes.b0_t * echoes.te_s[echo]
    value = te_text(echoes, echo)
    equal = ""
    if abs(echoes.b0_t - 3.0) > AT_3_T:
        equal = f" blooms as {1000 * bloom / 3:.3g} ms would at 3 T"
    here = f"{value} at {echoes.b0_t:.3g} T"
    if bloom < BLOOM_REFUSED_TS:
        return Check(
            check="echo time",
            status="refused",
            value=value,
            says=f"{here}{equal}: too short for microbleeds to show. Microbleeds not assessable.",
            forbids=("microbleeds",),
        )
    if bloom < BLOOM_LIMITED_TS:
        return Check(
            check="echo time",
            status="limited",
            value=value,
            says=f"{here}{equal}: shorter than usual; small microbleeds may not be seen.",
        )
    return Check(
        check="echo time",
        status="ok",
        value=value,
        says=f"The echo read for dark spots{equal}." if equal else "A usual echo time.",
    )


def _in_plane(echoes: Echoes) -> Check:
    grid = echoes.grid
    in_plane = max(d for axis, d in enumerate(grid.spacing_mm) if axis != grid.slice_axis)
    value = spacing_text(echoes)
    if in_plane > IN_PLANE_REFUSED_MM:
        return Check(
            check="voxel",
            status="refused",
            value=value,
            says=f"{in_plane:.2g} mm voxels, "
            f"{te_text(echoes, reading_echo(echoes.te_s, echoes.b0_t))}: "
            "microbleeds (2 to 10 mm) not assessable.",
            forbids=("microbleeds",),
        )
    if in_plane > IN_PLANE_LIMITED_MM:
        return Check(
            check="voxel",
            status="limited",
            value=value,
            says=f"{in_plane:.2g} mm in plane: microbleeds of one or two voxels may be missed "
            "or not told from noise.",
        )
    return Check(check="voxel", status="ok", value=value, says="Fine enough in plane.")


def _slices(echoes: Echoes, header: Header) -> Check:
    pitch = float(echoes.grid.spacing_mm[echoes.grid.slice_axis])
    gap = slice_gap_mm(echoes, header)
    value = f"{pitch:.3g} mm apart" + (f", {gap:.2g} mm of it gap" if gap else "")
    if pitch > SLICE_REFUSED_MM:
        return Check(
            check="slices",
            status="refused",
            value=value,
            says=f"Slices every {pitch:.3g} mm: most microbleeds lie in one slice or none. "
            "Microbleeds not assessable.",
            forbids=("microbleeds",),
        )
    if gap > 0.1 * pitch:
        return Check(
            check="slices",
            status="limited",
            value=value,
            says=f"{gap:.2g} mm between slices was not imaged: small microbleeds there are missed, "
            "and sizes across slices are uncertain.",
        )
    if pitch > SLICE_LIMITED_MM:
        return Check(
            check="slices",
            status="limited",
            value=value,
            says=f"Slices of {pitch:.3g} mm: veins cut across look like microbleeds, and small "
            "microbleeds fade (partial volume).",
        )
    return Check(check="slices", status="ok", value=value, says="Thin, contiguous slices.")


def slice_gap_mm(echoes: Echoes, header: Header) -> float:
    """Return the gap between slices [mm]; 0 when there is none or it is not known."""
    if header.slice_thickness_mm is None or header.acquisition_type == "3D":
        return 0.0
    pitch = float(echoes.grid.spacing_mm[echoes.grid.slice_axis])
    gap = pitch - header.slice_thickness_mm
    return round(gap, 3) if gap > 0.01 * pitch else 0.0


def _dimension(header: Header) -> Check:
    kind = header.acquisition_type
    if kind is None:
        return Check(
            check="acquisition",
            status="unknown",
            value="not stated",
            says="The files do not say whether this is a 2D or a 3D acquisition.",
        )
    says = (
        "2D: through-plane dephasing differs between slices; the field across slices is less exact."
        if kind == "2D"
        else "3D acquisition."
    )
    return Check(
        check="acquisition", status="limited" if kind == "2D" else "ok", value=kind, says=says
    )


def _phase_present(echoes: Echoes, given_field: bool) -> Check:
    if given_field:
        return Check(
            check="phase",
            status="ok",
            value="field given",
            says="The total field was given; it takes the place of the phase.",
        )
    if echoes.phase_rad is None:
        return Check(
            check="phase",
            status="refused",
            value="none",
            says="No phase: blood and calcium cannot be told apart, and susceptibility and "
            "magnetic moments cannot be measured.",
            forbids=("susceptibility", "sign"),
        )
    if echoes.phase_is_difference:
        return Check(
            check="phase",
            status="limited",
            value=f"difference over {1000 * echoes.phase_te_s[0]:.3g} ms",
            says="A phase difference of two echoes: the field is measured, with the noise of a "
            "short echo spacing; its susceptibility map is smoother than that of all echoes.",
        )
    n = len(echoes.phase_te_s)
    return Check(
        check="phase",
        status="ok",
        value=f"{n} echo" + ("es" if n > 1 else ""),
        says="Phase of every echo." if n > 1 else "Phase of the one echo.",
    )


def _relaxation(echoes: Echoes) -> Check:
    n = echoes.n_echoes
    value = f"{n} echo" + ("es" if n > 1 else "")
    if n == 1:
        return Check(
            check="echoes",
            status="limited",
            value=value,
            says="One echo: R2* and T2* cannot be measured.",
            forbids=("r2star",),
        )
    if n == 2:
        return Check(
            check="echoes",
            status="limited",
            value=value,
            says="Two echoes: R2* has no residual to judge it by.",
        )
    return Check(check="echoes", status="ok", value=value, says="Enough echoes for R2*.")


def _weighted(header: Header) -> list[Check]:
    """Return the check of a magnitude that is the scanner's SWI; none for a plain one."""
    if not header.weighted:
        return []
    return [
        Check(
            check="image",
            status="limited",
            value="weighted by the scanner (SWI)",
            says="The scanner darkened this magnitude by its phase: dark spots can be looked for, "
            "but veins and calcium are as dark as blood, sizes hold phase too, and R2* cannot "
            "be measured.",
            forbids=("r2star",),
        )
    ]


def check_signal(snr: float) -> Check:
    """Return the check of signal to noise in the brain at the reading echo."""
    if not np.isfinite(snr):
        return Check(
            check="signal to noise",
            status="unknown",
            value="not measured",
            says="No background without signal to measure the noise in.",
        )
    value = f"{snr:.0f}" if snr < 1000 else "over 1000"
    if snr < SNR_REFUSED:
        return Check(
            check="signal to noise",
            status="refused",
            value=value,
            says=f"Signal to noise {value}: dark spots are noise. Microbleeds not assessable.",
            forbids=("microbleeds",),
        )
    if snr < SNR_LIMITED:
        return Check(
            check="signal to noise",
            status="limited",
            value=value,
            says=f"Signal to noise {value}: faint microbleeds cannot be told from noise.",
        )
    return Check(check="signal to noise", status="ok", value=value, says="Enough signal.")


def check_ghosting(ratio: float) -> Check:
    """Return the check of motion ghosts: background beside the head over brain signal."""
    if not np.isfinite(ratio):
        return Check(
            check="motion ghosting",
            status="unknown",
            value="not measured",
            says="Too little background around the head to look for ghosts in.",
        )
    value = f"{100 * ratio:.1f} % of brain signal"
    if ratio > GHOST_REFUSED:
        return Check(
            check="motion ghosting",
            status="refused",
            value=value,
            says=f"Ghosts of {value}: dark and bright bands imitate lesions. "
            "Microbleeds not assessable.",
            forbids=("microbleeds",),
        )
    if ratio > GHOST_LIMITED:
        return Check(
            check="motion ghosting",
            status="limited",
            value=value,
            says=f"Ghosts of {value}: check every finding on the original images.",
        )
    return Check(check="motion ghosting", status="ok", value=value, says="No ghosts to speak of.")


def check_given_mask(outside: float) -> list[Check]:
    """Return the check of a given mask, by the share of it that lies outside the head.

    Empty for one that fits.
    """
    if outside <= MASK_OUTSIDE_LIMITED:
        return []
    refused = outside > MASK_OUTSIDE_REFUSED
    value = f"{100 * outside:.0f} % outside the head"
    return [
        Check(
            check="brain mask",
            status="refused" if refused else "limited",
            value=value,
            says=f"{100 * outside:.0f} % of the given mask lie outside the head: it may be of "
            "another scan, or displaced. "
            + ("Microbleeds not assessable." if refused else "Look at it over the magnitude."),
            forbids=("microbleeds",) if refused else (),
        )
    ]


def check_lost(slices: Sequence[int], says: str) -> list[Check]:
    """Return the check of slices that hold no signal; empty when there are none."""
    if not slices:
        return []
    return [
        Check(
            check="lost slices",
            status="limited",
            value=str(len(slices)),
            says=f"{says}: counts are of the others.",
        )
    ]


def check_coverage(extent_mm: tuple[float, float, float], brain_ml: float, cut: bool) -> Check:
    """Return the check of how much brain lies in the field of view."""
    value = "x".join(f"{e:.0f}" for e in extent_mm) + f" mm, {brain_ml:.0f} mL of brain"
    if brain_ml < 1:
        return Check(
            check="coverage",
            status="refused",
            value=value,
            says="No brain was found in this volume. Microbleeds not assessable.",
            forbids=("microbleeds", "susceptibility", "sign", "sites"),
        )
    if brain_ml > BRAIN_ML_LIMITED:
        return Check(
            check="coverage",
            status="limited",
            value=value,
            says=f"{brain_ml:.0f} mL is more than any brain: the mask holds other things too. "
            "Look at it, or give your own by --mask.",
        )
    if brain_ml < 600:
        return Check(
            check="coverage",
            status="limited",
            value=value,
            says=f"Only {brain_ml:.0f} mL of brain in the field of view: counts are of this part.",
        )
    if cut:
        return Check(
            check="coverage",
            status="limited",
            value=value,
            says="The field of view cuts the brain: counts are of the imaged part.",
        )
    return Check(check="coverage", status="ok", value=value, says="The whole brain is covered.")


def check_phase_noise(coherence: float) -> Check:
    """Return the check of phase that has nothing in common between neighbours."""
    return Check(
        check="phase",
        status="refused",
        value=f"coherence {coherence:.2f}",
        says=f"The phase of neighbouring voxels has nothing in common (coherence {coherence:.2f} "
        "of 1): it is noise, or not in the scale that was told. It is not used: blood and calcium "
        "cannot be told apart, and susceptibility and magnetic moments cannot be measured.",
        forbids=("susceptibility", "sign"),
    )


def check_filtered(filtered: bool, says: str, *, signed: bool = False) -> Check:
    """Return the check for phase that was high-pass filtered before it reached us.

    `signed` tells that its handedness is known: signs can then be read from it.
    """
    if filtered:
        left = "it still tells blood from calcium and weights" if signed else "it still weights"
        return Check(
            check="phase filtering",
            status="refused",
            value="high-pass filtered",
            says=f"{says} Susceptibility and moments cannot be measured from filtered phase; "
            f"{left} the SWI.",
            forbids=("susceptibility",) if signed else ("susceptibility", "sign"),
        )
    return Check(check="phase filtering", status="ok", value="not filtered", says=says)


def check_background(why: str) -> Check:
    """Return the check of a brain in view too thin to tell its own field from the outside."""
    return Check(
        check="background field",
        status="refused",
        value="not removed",
        says=f"The field from outside the brain could not be removed ({why}): susceptibility and "
        "moments cannot be measured.",
        forbids=("susceptibility", "sign"),
    )


def check_handedness(sign: int, trusted: bool, says: str) -> Check:
    """Return the check of the sign convention of the phase."""
    value = {1: "as given", -1: "negated"}[sign] if trusted else "unknown"
    if not trusted:
        return Check(
            check="handedness",
            status="limited",
            value=value,
            says=f"{says} The sign of the phase could not be settled: blood and calcium are not "
            "told apart. Give --phase-sign +1 or -1 if you know it.",
            forbids=("sign",),
        )
    return Check(check="handedness", status="ok", value=value, says=says)


def check_sites(ok: bool, value: str, says: str) -> Check:
    """Return the check of the registration that names anatomical sites."""
    return Check(
        check="registration",
        status="ok" if ok else "refused",
        value=value,
        says=says if ok else f"{says} Anatomical sites are not named.",
        forbids=() if ok else ("sites",),
    )


def require_assessable(checks: list[Check], where: str) -> None:
    """Raise `UnfitError` when microbleeds cannot be assessed.

    Raises
    ------
    UnfitError
        With the first reason.
    """
    reasons = forbidden(checks, "microbleeds")
    if reasons:
        raise UnfitError(
            reasons[0].rstrip("."),
            where=where,
            mend="Take a scan whose voxels, echo times and quality can show them.",
        )


def forbidden(checks: list[Check], answer: str) -> list[str]:
    """Return why `answer` cannot be given; empty when it can."""
    return [check.says for check in checks if answer in check.forbids]
