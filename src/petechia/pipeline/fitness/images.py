"""What the images say of a scan: signal, ghosts, coverage, and whether the phase can be used."""

from collections.abc import Sequence

import numpy as np

from petechia.phase.quality import HighpassEvidence
from petechia.pipeline.fitness.check import Check

SNR_REFUSED, SNR_LIMITED = 4.0, 10.0
BRAIN_ML_LIMITED = 2500.0
HEAD_MM, TOO_LITTLE_ML = 60.0, 10.0
"""A volume shorter than the first on every side, with so little brain, may be in other units."""
GHOST_LIMITED, GHOST_REFUSED = 0.05, 0.15
GROWTH_REFUSED = 1.15
MASK_OUTSIDE_LIMITED, MASK_OUTSIDE_REFUSED = 0.01, 0.3


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


def check_decay(signals: Sequence[float]) -> list[Check]:
    """Return the check of brain signal that grows with the echo time; empty when it does not.

    Parameters
    ----------
    signals : sequence of float
        Median magnitude in the brain, by increasing echo time. Two echoes are not judged:
        scanners may scale each, and short ones differ little.
    """
    if len(signals) < 3 or not signals[0] > 0:
        return []
    growth = signals[-1] / signals[0]
    if not growth > GROWTH_REFUSED:
        return []
    value = f"grows by {100 * (growth - 1):.0f} %"
    return [
        Check(
            check="decay",
            status="refused",
            value=value,
            says=f"The signal of the brain {value} from the first echo to the last: echo times "
            "are exchanged between files, or each echo is scaled by itself. R2* cannot be "
            "measured; where the times are wrong, so are field and moments, and the echo that is "
            "read may be too short for microbleeds to show. Check EchoTime of every file.",
            forbids=("r2star",),
        )
    ]


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


def check_coverage(
    extent_mm: tuple[float, float, float], brain_ml: float, cut: bool, *, given: bool = False
) -> Check:
    """Return the check of how much brain lies in the field of view, or in a given mask."""
    value = "x".join(f"{e:.0f}" for e in extent_mm) + f" mm, {brain_ml:.0f} mL of brain"
    if brain_ml < 1:
        found = f"The given mask holds {brain_ml:.1f} mL" if given else "No brain was found"
        return Check(
            check="coverage",
            status="refused",
            value=value,
            says=f"{found} in this volume. Microbleeds not assessable.",
            forbids=("microbleeds", "susceptibility", "sign", "sites"),
        )
    if max(extent_mm) < HEAD_MM and brain_ml < TOO_LITTLE_ML:
        size = " x ".join(f"{e:.0f}" for e in extent_mm)
        return Check(
            check="coverage",
            status="limited",
            value=value,
            says=f"The volume measures {size} mm and holds {brain_ml:.1f} mL of brain: is its "
            "affine in millimetres? Counts are of this part.",
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
            says="The given mask ends at the border of the volume: counts are of what lies in it."
            if given
            else "The field of view cuts the brain: counts are of the imaged part.",
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


def check_filtered(evidence: HighpassEvidence, *, signed: bool = False) -> Check:
    """Return the check for phase that was high-pass filtered before it reached us.

    `signed` tells that its handedness is known: signs can then be read from it.
    """
    says = evidence.says
    if evidence.filtered:
        left = "it still tells blood from calcium and weights" if signed else "it still weights"
        return Check(
            check="phase filtering",
            status="refused",
            value="high-pass filtered",
            says=f"{says} Susceptibility and moments cannot be measured from filtered phase; "
            f"{left} the SWI.",
            forbids=("susceptibility",) if signed else ("susceptibility", "sign"),
        )
    if evidence.faint:
        return Check(
            check="phase filtering",
            status="limited",
            value="faint smooth part",
            says=f"{says} It may have been high-pass filtered by a small window: moments may be "
            "read 10 to 20 % too low.",
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


def check_sites(ok: bool, value: str, says: str, *, by_outline: bool = False) -> Check:
    """Return the check of the registration that names anatomical sites."""
    return Check(
        check="registration",
        status="refused" if not ok else "limited" if by_outline else "ok",
        value=value,
        says=says if ok else f"{says} Anatomical sites are not named.",
        forbids=() if ok else ("sites",),
    )
