"""Find out what is at a place: a BIDS dataset, NIfTI files, or DICOM."""

from collections.abc import Sequence
from pathlib import Path

from petechia.errors import FileError, ParameterError
from petechia.files.bids import find_bids_scans, is_bids
from petechia.files.loose import find_nifti_scans
from petechia.files.nifti import is_nifti
from petechia.files.scan import ScanRef
from petechia.files.walk import names_below

LOOKED_FOR = (
    "a BIDS dataset (dataset_description.json, sub-*), NIfTI files (.nii, .nii.gz) and DICOM "
    "(files of any name, or a .zip of them)"
)

_WITH_FACTS = {
    "BIDS": (
        "a BIDS dataset, whose JSON files tell",
        'Write {"EchoTime": 0.02, "MagneticFieldStrength": 3} into T2starw.json (or the suffix '
        "of your images) in its top folder, or sub-X_T2starw.json in a person's.",
    ),
    "DICOM": ("DICOM, which tells it itself", "Leave it out."),
}
"""Why echo times and field are not asked for, and where they stand."""


def find_scans(
    place: Path,
    *,
    subject: str | None = None,
    participants: Sequence[str] = (),
    sessions: Sequence[str] = (),
    te_s: Sequence[float] = (),
    b0_t: float | None = None,
    phase_scale: float | None = None,
) -> list[ScanRef]:
    """List the gradient-echo scans at a place without reading them.

    Parameters
    ----------
    place : Path
        A BIDS dataset, a folder of NIfTI + JSON, or a DICOM folder, file or zip.
    subject : str, optional
        What scans that are no BIDS dataset are called; None is `01`, or what their NIfTI
        files say (`sub-*`).
    participants, sessions : sequence of str
        Labels to keep of a BIDS dataset; empty keeps all.
    te_s : sequence of float
        Echo times of NIfTI files outside BIDS whose sidecars state none [s].
    b0_t : float, optional
        Their field, likewise [T].
    phase_scale : float, optional
        Factor from phase values to radians, when the user states it.

    Returns
    -------
    list of ScanRef
        At least one; what is wrong with a scan is said by its `load`.

    Raises
    ------
    FileError
        Nothing there, or nothing that could be a gradient echo.
    ParameterError
        A label that is not in the dataset, or labels for what is no dataset; echo times or
        a field for what tells them itself.
    """
    place = Path(place)
    kind = kind_of(place)
    if kind != "NIfTI" and (te_s or b0_t is not None):
        raise ParameterError(
            f"--te or --b0 for {_WITH_FACTS[kind][0]}",
            where=str(place),
            mend=_WITH_FACTS[kind][1],
        )
    if kind == "BIDS":
        return find_bids_scans(
            place, participants=participants, sessions=sessions, phase_scale=phase_scale
        )
    if participants or sessions:
        raise ParameterError(
            f"labels {', '.join([*participants, *sessions])} for a {kind} folder",
            where=str(place),
            mend="Only BIDS datasets have participants and sessions; use --subject to name it.",
        )
    if kind == "NIfTI":
        return find_nifti_scans(
            place, subject=subject, te_s=te_s, b0_t=b0_t, phase_scale=phase_scale
        )
    from petechia.files.dicom import find_dicom_scans

    n_nifti = len(_nifti_in(place)) if place.is_dir() else 0
    notes = (f"{n_nifti} NIfTI files beside the DICOM left aside",) if n_nifti else ()
    return find_dicom_scans(place, subject=subject or "01", phase_scale=phase_scale, notes=notes)


def kind_of(place: Path) -> str:
    """Return 'BIDS', 'NIfTI' or 'DICOM'.

    A few NIfTI files among more of DICOM are something made from them: DICOM it is.

    Raises
    ------
    FileError
        Nothing to read; or NIfTI and some DICOM, so that either may be meant.
    """
    if not place.exists():
        raise FileError(
            f"no such file or folder; looked for {LOOKED_FOR}",
            where=str(place),
            mend="Check the spelling of the path.",
        )
    if place.is_file():
        if is_nifti(place.name):
            raise FileError(
                "a single NIfTI file says too little",
                where=str(place),
                mend="Give its folder, or --mag FILE [--phase FILE] --te S --b0 T.",
            )
        return "DICOM"
    if is_bids(place):
        return "BIDS"
    names = _files_in(place)
    if not names:
        n_special = names_below(place)[1]
        others = f" but {n_special} pipes, sockets or devices" if n_special else ""
        raise FileError(
            f"the folder holds no files{others}; looked for {LOOKED_FOR}",
            where=str(place),
            mend="Give the folder that holds the images.",
        )
    n_nifti = len(_nifti_in(place))
    if n_nifti == 0:
        return "DICOM"
    n_dicom = sum(_begins_as_dicom(path) for path in names if not is_nifti(path.name))
    if n_dicom == 0:
        return "NIfTI"
    if n_dicom > n_nifti:
        return "DICOM"
    raise FileError(
        f"the folder holds {n_nifti} NIfTI and {n_dicom} DICOM files: which is the scan?",
        where=str(place),
        mend="Give a folder that holds only one of the two.",
    )


def _files_in(place: Path) -> list[Path]:
    """Return the files of a folder, to its bottom, but hidden ones."""
    return [place / name for name in names_below(place)[0]]


def _nifti_in(place: Path) -> list[Path]:
    return [path for path in _files_in(place) if is_nifti(path.name)]


def _begins_as_dicom(path: Path) -> bool:
    from petechia.files.dicom.headers import is_dicom

    try:
        with path.open("rb") as stream:
            return is_dicom(stream.read(140))
    except OSError:
        return False
