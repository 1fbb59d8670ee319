"""`petechia dicom`: results of a run as DICOM, beside the images they came from."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from petechia.errors import FileError, ParameterError

if TYPE_CHECKING:
    from petechia.files.output import OutputTree
    from petechia.files.scan import ScanName


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    add = parser.add_argument
    add("output", type=Path, help="output folder of `petechia run`")
    add("--reference", type=Path, required=True, metavar="FOLDER", help="its DICOM images")
    add("--prefix", metavar="P", help="which scan, when there are several: sub-01_run-2")


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 1


def run(args: argparse.Namespace) -> int:
    """Find the scan and its images; write the objects."""
    name = _scan(args.output, args.prefix)
    from petechia.files.output import OutputTree
    from petechia.files.scan import ScanName
    from petechia.pipeline.dicom_export import export_dicom, export_folder, reference_for
    from petechia.pipeline.tree import ignore_dicom

    entities = tuple((key, value) for key, _, value in (e.partition("-") for e in name.split("_")))
    scan = ScanName(entities)
    tree = OutputTree(args.output)
    origin = reference_for(tree, scan, args.reference)
    ignore_dicom(args.output)
    files = export_dicom(tree, scan, origin)
    _tell_index(tree, scan)
    print(f"{len(files)} DICOM files: {export_folder(tree.root, scan)}")
    print("They name the patient as the reference does. Research use only.")
    return 0


def _tell_index(tree: "OutputTree", scan: "ScanName") -> None:
    """Remove the crash file of an export that had failed, and remarks on it from the index."""
    from petechia.pipeline.listing import not_exported
    from petechia.pipeline.tree import finish_tree

    crash = tree.path("crash", scan)
    if not_exported(crash):
        crash.unlink(missing_ok=True)
    finish_tree(tree.root)


def _scan(root: Path, prefix: str | None) -> str:
    """Return the prefix of the one finished scan meant."""
    from petechia.pipeline.listing import standing_of

    there = standing_of(root)
    found = [scan for scan, stands in there.items() if not stands.failed]
    if not found:
        failed = f": the last run of {', '.join(list(there)[:20])} failed" if there else ""
        raise FileError(
            f"no finished scan{failed}",
            where=str(root),
            mend="Give the output folder of `petechia run`; run again what failed.",
        )
    if prefix is None and len(found) == 1:
        return found[0]
    if prefix not in found:
        raise ParameterError(
            f"{prefix!r} is none of the finished scans" if prefix else f"{len(found)} scans",
            where="--prefix",
            mend=f"Choose one of {', '.join(found[:20])}.",
        )
    return prefix
