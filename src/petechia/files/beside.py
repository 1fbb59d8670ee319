"""Other scans and segmentations that lie beside a gradient echo, and reading them.

Looked for: `sub-X[/ses-Y]/anat/*_T1w.nii[.gz]`, `*_T2w` and `*_FLAIR` of the same subject and
session; a CT as `*_ct.nii[.gz]` in `sub-X[/ses-Y]/ct` (which BIDS does not know) or `anat`;
and in every dataset below `derivatives/` (and `sourcedata/freesurfer`) FreeSurfer's
`sub-X[_ses-Y]/mri/` with `aparc.DKTatlas+aseg.mgz`, `aparc+aseg.mgz` or SynthSeg's
`synthseg.mgz`, or a BIDS `*_dseg` of that session whose `desc` or `seg` tells of aparc, aseg
or SynthSeg. Of several the first in that order, then by name.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.errors import FileError, InputError
from petechia.files.nifti import is_nifti, read_nifti, stem_of
from petechia.files.scan import Beside, ScanName, SeriesImage

FREESURFER = (
    "aparc.DKTatlas+aseg.mgz", "aparc.DKTatlas+aseg.nii.gz", "aparc+aseg.mgz",
    "aparc+aseg.nii.gz", "synthseg.mgz", "synthseg.nii.gz",
)  # fmt: skip
WORDS = ("aparc", "aseg", "synthseg", "freesurfer")
"""What a `desc` or `seg` that tells of FreeSurfer's numbers holds."""
MGH = (".mgz", ".mgh")


def find_beside(dataset: Path, name: ScanName) -> Beside:
    """Return what lies beside a scan of a raw BIDS dataset.

    Parameters
    ----------
    dataset : Path
        Root.
    name : ScanName
        Of the gradient echo; its subject and session count.
    """
    own = dataset / name.folder
    images = {
        "FLAIR": _first(own, "_FLAIR"),
        "T2w": _first(own, "_T2w"),
        "T1w": _first(own, "_T1w"),
        "CT": _first(own.with_name("ct"), "_ct") or _first(own, "_ct"),
    }
    return Beside(
        t1w=images["T1w"],
        t2w=images["T2w"],
        flair=images["FLAIR"],
        segmentation=next(_segmentations(dataset, name), None),
        ct=images["CT"],
        chosen=tuple((k, f"{p.name}: the first by name") for k, p in images.items() if p),
    )


def read_image(source: Path | SeriesImage) -> tuple[npt.NDArray[np.float32], Grid]:
    """Return an anatomical image and its grid, from NIfTI or from a series of an exam.

    Raises
    ------
    FileError, MetadataError, InputError
        If it cannot be read.
    """
    if not isinstance(source, Path):
        return source.read()
    volume = read_nifti(source)
    return np.asarray(volume.only, dtype=np.float32), volume.grid


def _first(folder: Path, suffix: str) -> Path | None:
    """Return the first image with a suffix, plain ones before those after a contrast agent.

    Parts of a complex image are none; nor is a T1w after a contrast agent (`ce-`) a plain one.
    """
    found = [
        path
        for path in _listed(folder)
        if stem_of(path.name).endswith(suffix) and is_nifti(path.name) and "_part-" not in path.name
    ]
    plain = [path for path in found if "_ce-" not in path.name]
    return next(iter(plain or ([] if suffix == "_T1w" else found)), None)


def _segmentations(dataset: Path, name: ScanName) -> Iterator[Path]:
    labels = [f"{key}-{value}" for key, value in name.entities if key in ("sub", "ses")]
    places = [dataset / "derivatives", *_listed(dataset / "derivatives")]
    places.append(dataset / "sourcedata" / "freesurfer")
    for place in places:
        mri = place / "_".join(labels) / "mri"
        yield from (mri / file for file in FREESURFER if (mri / file).is_file())
    for place in places:
        for path in _listed(place.joinpath(*labels, "anat")):
            stem = stem_of(path.name)
            told = [p for p in stem.split("_") if p.startswith(("desc-", "seg-"))]
            named = any(word in part.lower() for part in told for word in WORDS)
            if named and is_nifti(path.name) and stem.endswith("_dseg") and "_space-" not in stem:
                yield path


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def read_segmentation(path: Path) -> tuple[npt.NDArray[np.int32], Grid]:
    """Return the numbers of a segmentation and its grid; NIfTI or FreeSurfer's `.mgz`.

    Raises
    ------
    FileError
        If it cannot be read.
    InputError
        If it is not one volume of whole numbers.
    """
    if path.name.lower().endswith(MGH):
        try:
            image: Any = nib.load(path)
            values = np.asarray(image.dataobj)
            grid = Grid(values.shape[:3], np.asarray(image.affine))
        except Exception as error:
            raise FileError(
                f"cannot be read ({type(error).__name__}: {error})",
                where=str(path),
                mend="Give FreeSurfer's file again, or convert it to NIfTI.",
            ) from error
        values = values.reshape(values.shape[:3]) if values.ndim == 4 else values
    else:
        volume = read_nifti(path)
        values, grid = volume.only, volume.grid
    whole = np.rint(values)
    if values.ndim != 3 or not np.allclose(values, whole):
        raise InputError(
            "not a volume of whole numbers",
            where=str(path),
            mend="A segmentation holds labels: give it as it was made, not interpolated.",
        )
    return whole.astype(np.int32), grid
