"""What the header and the grid say of a scan: field, echo times, voxels, slices, phase."""

from petechia.core.echoes import Echoes, reading_echo
from petechia.files.scan import Header
from petechia.pipeline.fitness.check import Check

BLOOM_REFUSED_TS, BLOOM_LIMITED_TS = 0.03, 0.045
IN_PLANE_REFUSED_MM, IN_PLANE_LIMITED_MM = 2.0, 1.25
SLICE_REFUSED_MM, SLICE_LIMITED_MM = 7.0, 3.0


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
