"""T1w, T2w and FLAIR scans of simulated people as BIDS, and what is true of their signs."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.anatomy.signs.hyperintensities import PERIVENTRICULAR_MM
from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.files import writing
from petechia.files.dicom.write import DicomStyle, write_dicom
from petechia.files.output import BIDS_VERSION, generated_by
from petechia.files.scan import Header, ScanName
from petechia.simulate.atlas import Atlas
from petechia.simulate.companions import (
    COMPANIONS,
    LABELS,
    CompanionProtocol,
    moved,
    simulate_companion,
    sliced,
    truth_labels,
)
from petechia.simulate.head import Head
from petechia.simulate.patient import Patient
from petechia.simulate.render import Pose, sample_pose
from petechia.simulate.signs import Signs, SignsParams, sample_signs

Volume = npt.NDArray[np.float32]
TRUTH_FOLDER = "derivatives/signs"
"""Where the truth lies; that of microbleeds has a dataset of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Companions:
    """Which scans are made beside a gradient echo.

    Attributes
    ----------
    kinds : tuple of str
        Of 'T1w', 'T2w', 'FLAIR'.
    slice_mm : float or None
        Thickness of axial slices of T2w and FLAIR [mm]; None: volumes of 1 mm.
    signs : SignsParams
        What people have; what is None is drawn.
    """

    kinds: tuple[str, ...] = tuple(COMPANIONS)
    slice_mm: float | None = None
    signs: SignsParams = field(default_factory=SignsParams)

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in COMPANIONS:
                raise ParameterError(
                    f"no companion {kind!r}",
                    where="simulate",
                    mend=f"Choose from {', '.join(COMPANIONS)}.",
                )
        if self.slice_mm is not None:
            sliced(COMPANIONS["T2w"], self.slice_mm)

    def protocol(self, kind: str) -> CompanionProtocol:
        """Return how a scan is made."""
        if self.slice_mm is None or kind == "T1w":
            return COMPANIONS[kind]
        return sliced(COMPANIONS[kind], self.slice_mm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exam:
    """A DICOM exam that companions join: its folder, study, style, and a free series number."""

    folder: Path
    study: str
    style: DicomStyle
    series: int


def write_companions(
    root: Path,
    name: ScanName,
    companions: Companions,
    patient: Patient,
    head: Head,
    atlas: Atlas,
    stream: tuple[int, ...],
    exam: Exam | None = None,
) -> None:
    """Write the scans of one session and the truth of what they show.

    Parameters
    ----------
    root : Path
        Dataset.
    name : ScanName
        Subject and session.
    companions : Companions
        Which scans.
    patient, head, atlas
        The person.
    stream : tuple of int
        (seed, person, protocol, session) of the gradient echo that they lie beside.
    exam : Exam, optional
        The DICOM exam of the gradient echo, which they join.
    """
    seed, person, *rest = stream
    # as the gradient echo draws it
    lay = np.random.default_rng([seed, person, *rest, 996]).spawn(3)[0]
    pose = sample_pose(lay)
    # a person's signs are the same in every session
    drawing = np.random.default_rng([seed, person, 995])
    spaces = patient.flow.spaces.segments if patient.flow is not None else None
    signs = sample_signs(head, atlas, drawing, companions.signs, spaces)
    prefix = name.prefix
    for n, kind in enumerate(companions.kinds):
        rng = np.random.default_rng([seed, person, *rest, n, 994])
        own = moved(pose, rng)
        protocol = companions.protocol(kind)
        image = simulate_companion(head, signs, own, protocol, rng)
        path = root / name.folder / f"{prefix}_{kind}.nii.gz"
        writing.write_nifti(path, image, protocol.grid)
        writing.write_json(path.with_suffix("").with_suffix(".json"), _sidecar(protocol))
        if exam is not None:
            _write_dicom(exam, image, protocol, n)
        if kind == "FLAIR":
            _write_labels(root, name, signs, head, own, protocol.grid)
    told = truth_of(signs, head)
    writing.write_json(_truth(root, name) / f"{prefix}_desc-signs_truth.json", told)
    writing.write_json(
        root / TRUTH_FOLDER / "dataset_description.json",
        {
            "Name": "Truth of the signs on simulated T2w and FLAIR",
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "derivative",
            "GeneratedBy": [generated_by()],
        },
    )
    writing.write_text(root / TRUTH_FOLDER / ".bidsignore", "*_truth.json\n")


def _write_dicom(exam: Exam, image: Volume, protocol: CompanionProtocol, n: int) -> None:
    """Write a companion into the exam of its gradient echo, whose series come first."""
    echoes = Echoes(
        magnitude=image[None], phase_rad=None, te_s=(protocol.te_s,), b0_t=protocol.b0_t,
        grid=protocol.grid,
    )  # fmt: skip
    thick = protocol.spacing_mm[2]
    header = Header(
        acquisition_type="3D" if thick <= 1.5 else "2D", slice_thickness_mm=thick,
        tr_s=protocol.tr_s, flip_deg=protocol.flip_deg if protocol.kind == "T1w" else 90.0,
    )  # fmt: skip
    inverted = {} if protocol.kind == "T1w" else {"ti_s": protocol.inversion_s}
    write_dicom(
        exam.folder, echoes, header, exam.style, series=exam.series + n, kind=protocol.kind,
        study=exam.study, **inverted,
    )  # fmt: skip


def truth_of(signs: Signs, head: Head) -> dict[str, Any]:
    """Return what is true of a person's signs, as plain values."""
    ml = head.grid.voxel_mm3 / 1000
    near = signs.near_ventricle_mm <= PERIVENTRICULAR_MM
    return {
        "fazekas_periventricular": signs.periventricular,
        "fazekas_deep": signs.deep,
        "periventricular_ml": float((signs.hyperintense * near).sum() * ml),
        "deep_ml": float((signs.hyperintense * ~near).sum() * ml),
        "edema_ml": float(signs.edema.sum() * ml),
        "lacunes": [asdict(lacune) for lacune in signs.lacunes],
        "centrum_semiovale_spaces": int(signs.in_centrum.sum()),
        "basal_ganglia_spaces": int((~signs.in_centrum).sum()),
    }


def _truth(root: Path, name: ScanName) -> Path:
    return root / TRUTH_FOLDER / name.folder


def _write_labels(
    root: Path, name: ScanName, signs: Signs, head: Head, pose: Pose, grid: Grid
) -> None:
    stem = _truth(root, name) / f"{name.prefix}_space-FLAIR_desc-signs_dseg"
    labels = truth_labels(signs, head.grid, pose, grid)
    writing.write_nifti(stem.with_name(f"{stem.name}.nii.gz"), labels, grid)
    rows = [{"index": str(index), "name": word} for word, index in LABELS.items()]
    writing.write_table(stem.with_name(f"{stem.name}.tsv"), rows, ["index", "name"])


def _sidecar(protocol: CompanionProtocol) -> dict[str, Any]:
    told = {
        "Manufacturer": "Petechia",
        "ManufacturersModelName": "simulator",
        "MagneticFieldStrength": protocol.b0_t,
        "EchoTime": protocol.te_s,
        "RepetitionTime": protocol.tr_s,
        "SliceThickness": protocol.spacing_mm[2],
    }
    if protocol.kind == "FLAIR":
        told["InversionTime"] = round(protocol.inversion_s, 4)
    if protocol.kind == "T1w":
        told["FlipAngle"] = protocol.flip_deg
    return told
