"""Everything a run writes, under the names the contract promises."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from petechia import __version__
from petechia.core.grid import Grid
from petechia.errors import FileError, OutputError
from petechia.files import writing
from petechia.files.columns import describe
from petechia.files.contract import Contract, OutputFile, contract, place
from petechia.files.scan import Scan, ScanName
from petechia.files.sidecars import read_json

BIDS_VERSION = "1.10.0"
DATASET_NAME = "Petechia: cerebral microbleeds from gradient-echo MRI"
"""By this name an output folder is known as one."""
RAW_LINK = "raw"
REGION_COLUMNS = ("index", "name", "site", "side", "compartment")
_MASK_TYPE = {"brain_mask": "Brain", "microbleeds": "Lesion"}
_ZERO_OUTSIDE_BRAIN = {"chi", "chi_noise", "local_field"}
_DESCRIPTION = {
    "brain_mask": "Brain, with cerebrospinal fluid of the sulci",
    "chi": "Magnetic susceptibility; 0 outside the brain mask",
    "chi_noise": "Standard deviation of the susceptibility that follows from the field's noise",
    "r2star": "Effective transverse relaxation rate",
    "t2star": "Effective transverse relaxation time",
    "s0": "Signal extrapolated to echo time 0",
    "local_field": "Field shift of sources inside the brain, relative to the main field",
    "swi": "Susceptibility-weighted image",
    "mip": "Minimum-intensity projection of the susceptibility-weighted image",
    "regions": "Anatomical regions, brought over from a template",
    "findings": "Every finding, also those not counted; the voxel value is its index",
    "microbleeds": "Counted microbleeds",
}
_README = """\
# Petechia output

Made by petechia {version}, output contract {contract_version}. One folder for each subject;
`{report}` is the report of a scan, `{table}` the table of all
findings with the reasons for each, `{counted}` what was counted.

Research use only. Not a medical device.
"""


class OutputTree:
    """The output folder of a run.

    Parameters
    ----------
    root : Path
        OUTPUT. Made when it isn't there; it must be writable.

    Raises
    ------
    OutputError
        `root` cannot be made or written to.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        writing.make_folder(self.root)

    def path(self, key: str, name: ScanName | None = None) -> Path:
        """Return where output `key` of the scan `name` lies or will lie."""
        return self.root / contract().relative_path(key, name)

    def table_path(self, key: str, name: ScanName) -> Path:
        """Return where the table that goes with the label image `key` lies."""
        table = contract().file(key).table
        if table is None:
            raise OutputError(
                f"output {key!r} has no table", where="contract", mend="Use findings or regions."
            )
        return self.root / place(table, name)

    def sidecar_path(self, key: str, name: ScanName) -> Path:
        """Return where the JSON beside output `key` lies."""
        file = contract().file(key)
        return self.root / place(
            file.sidecar_for_both or file.name.replace(".nii.gz", ".json"), name
        )

    def write_volume(
        self,
        key: str,
        name: ScanName,
        array: npt.NDArray[Any],
        like: Scan | Grid,
        sidecar: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write a volume and its sidecar.

        Parameters
        ----------
        key : str
            Key of the contract: 'chi', 'findings', ...
        name : ScanName
            What the scan is called.
        array : (I, J, K) ndarray
            See `writing.write_nifti` for the stored types.
        like : Scan or Grid
            What it was made from: a scan from NIfTI hands on its header's geometry
            bit by bit.
        sidecar : mapping, optional
            Adds to what is known already (Units, Description, Type, SkullStripped, and
            the columns of the table that shares the sidecar).

        Raises
        ------
        OutputError
            It could not be written, or the contract's sidecar keys are not all given.
        """
        file = contract().file(key)
        grid, header = (like, None) if isinstance(like, Grid) else _geometry(like)
        facts = _sidecar(file, sidecar or {})
        path = self.path(key, name)
        writing.write_nifti(path, array, grid, header)
        writing.write_json(self.sidecar_path(key, name), facts)
        return path

    def write_table(
        self,
        key: str,
        name: ScanName,
        rows: Iterable[Mapping[str, Any]],
        columns: Sequence[str] | None = None,
    ) -> Path:
        """Write the table of 'findings' or 'regions'; by default the contract's columns."""
        promised = table_columns(key)
        chosen = tuple(columns or promised)
        if chosen[: len(promised)] != promised:
            raise OutputError(
                f"columns begin {chosen[: len(promised)]}",
                where=f"table of {key}",
                mend=f"The contract says {promised}; more may follow.",
            )
        path = self.table_path(key, name)
        writing.write_table(path, rows, chosen)
        return path

    def write_json(self, key: str, name: ScanName | None, data: Any) -> Path:
        """Write output `key` ('summary', 'crash') as JSON without machine paths."""
        path = self.path(key, name)
        writing.write_json(path, data)
        return path

    def write_text(self, key: str, name: ScanName | None, text: str) -> Path:
        """Write output `key` ('report', 'index') as text."""
        path = self.path(key, name)
        writing.write_text(path, text)
        return path

    def write_dataset_description(
        self, dataset: Path | None = None, ignore: Sequence[str] = ()
    ) -> None:
        """Write dataset_description.json, README.md and .bidsignore.

        A README.md that somebody else wrote stays, and so do their lines of .bidsignore.

        Parameters
        ----------
        dataset : Path, optional
            The raw BIDS dataset that was read. Its DOI and licence are passed on, and when
            the output lies inside it (`derivatives/petechia`) a relative link.
        ignore : sequence of str
            More lines for .bidsignore than the contract's.
        """
        writing.write_json(self.root / "dataset_description.json", self._description(dataset))
        agreed = contract()
        readme = _readme(agreed)
        if _first_line(self.root / "README.md") in ("", readme.partition("\n")[0]):
            writing.write_text(self.root / "README.md", readme)
        path = self.root / ".bidsignore"
        before = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        lines = dict.fromkeys((*agreed.ignore_patterns(), *ignore, *before))
        writing.write_text(path, "\n".join(lines) + "\n")

    def _description(self, dataset: Path | None) -> dict[str, Any]:
        out: dict[str, Any] = {
            "Name": DATASET_NAME,
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "derivative",
            "GeneratedBy": [generated_by()],
        }
        if dataset is None:
            return out
        raw = _raw_description(dataset)
        if doi := raw.get("DatasetDOI"):
            out["SourceDatasets"] = [{"DOI": doi}]
        if licence := raw.get("License"):
            out["License"] = licence
        if dataset.resolve() in self.root.resolve().parents:
            inside = os.path.relpath(dataset.resolve(), self.root.resolve())
            out["DatasetLinks"] = {RAW_LINK: inside}
        return out


def _readme(agreed: Contract) -> str:
    names = {
        "report": agreed.file("report").name.removeprefix("OUTPUT/"),
        "table": str(agreed.file("findings").table),
        "counted": agreed.file("microbleeds").name,
    }
    told = {key: name.replace("<p>", "<prefix>") for key, name in names.items()}
    return _README.format(version=__version__, contract_version=agreed.version, **told)


def generated_by() -> dict[str, str]:
    """Return the GeneratedBy entry of this version."""
    return {
        "Name": "petechia",
        "Version": __version__,
        "Description": "QSM, SWI and microbleed detection. Research use only.",
    }


def table_columns(key: str) -> tuple[str, ...]:
    """Return the promised columns of the table of 'findings' or 'regions'."""
    return contract().finding_columns if key == "findings" else REGION_COLUMNS


def source_uris(scan: Scan) -> list[str]:
    """Return the files a scan was read from, as `Sources` of a sidecar."""
    start = f"bids:{RAW_LINK}:" if scan.kind == "BIDS" else ""
    return [start + source.path for source in scan.sources]


def _geometry(scan: Scan) -> tuple[Grid, Any]:
    return scan.echoes.grid, scan.nifti_header


def _sidecar(file: OutputFile, given: Mapping[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {"Description": _DESCRIPTION.get(file.key, file.key)}
    if file.units:
        facts["Units"] = file.units
    if file.key in _MASK_TYPE:
        facts["Type"] = _MASK_TYPE[file.key]
    else:
        facts["SkullStripped"] = file.key in _ZERO_OUTSIDE_BRAIN
    if file.table:
        facts.update(describe(table_columns(file.key)))
    facts.update(given)
    missing = [key for key in file.sidecar if key not in facts]
    if missing:
        raise OutputError(
            f"its sidecar lacks {', '.join(missing)}",
            where=file.name,
            mend="The contract asks for them: pass them in `sidecar`.",
        )
    return facts


def _first_line(path: Path) -> str:
    """Return the first line of a text; "" when there is none."""
    if not path.is_file():
        return ""
    return path.read_text(encoding="utf-8", errors="replace").partition("\n")[0]


def _raw_description(dataset: Path) -> Mapping[str, Any]:
    path = dataset / "dataset_description.json"
    try:
        return read_json(path)
    except FileError:
        return {}
