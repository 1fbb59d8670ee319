"""Where the faces of an exam are: found on its gradient echoes, for all of its series."""

import logging
from pathlib import Path

from petechia.anatomy.brainmask import brain_mask
from petechia.anatomy.face import FaceParams, face_plane
from petechia.anatomy.head import head_mask
from petechia.core.morphology import Mask
from petechia.errors import FileError
from petechia.files.dicom import find_dicom_scans
from petechia.files.dicom.deidentify.folder import Plane
from petechia.files.nifti import read_mask
from petechia.pipeline.stages import template

LOG = logging.getLogger(__name__)


def face_planes(
    place: Path, mask: Path | None = None, params: FaceParams | None = None
) -> dict[str, Plane]:
    """Return the face plane of each frame of reference that has a gradient echo.

    Parameters
    ----------
    place : Path
        Folder, file or zip of DICOM.
    mask : Path, optional
        A brain mask on the scan's grid, as `petechia run` writes it; else one is made.
    params : FaceParams, optional
        Margin and angles.

    Raises
    ------
    FileError
        No gradient echo to find the brain on, or a mask for several scans.
    """
    refs = find_dicom_scans(place)
    if mask is not None and len(refs) > 1:
        raise FileError(
            f"one mask for {len(refs)} scans", where=str(mask), mend="Give one scan at a time."
        )
    planes: dict[str, Plane] = {}
    for ref in refs:
        assert ref.origin is not None
        frame = str(ref.origin().slices[0].FrameOfReferenceUID)
        if frame in planes:
            continue
        echoes = ref.load().echoes
        brain: Mask
        if mask is not None:
            brain = read_mask(mask, echoes.grid)
        else:
            brain = brain_mask(echoes.magnitude, echoes.grid, template()).mask
        head = head_mask(echoes.magnitude[0], echoes.grid)
        plane = face_plane(brain, head, echoes.grid, params)
        planes[frame] = (plane.normal, plane.offset_mm)
        LOG.info("face: plane of one frame of reference laid")
    return planes
