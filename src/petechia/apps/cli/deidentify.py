"""`petechia deidentify`: a folder of DICOM without the person."""

import argparse
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from petechia.errors import FileError, OutputError, ParameterError

if TYPE_CHECKING:
    from petechia.files.dicom.deidentify.residue import Residue

SHORTEST_SECRET = 16


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    add = parser.add_argument
    add("input", type=Path, help="DICOM folder, file or zip")
    add("output", nargs="?", type=Path, help="new folder")
    add("--secret", type=Path, metavar="FILE", help="key of new names; made when not there")
    add("--dates", choices=["shift", "remove"], default="shift", help="shift or remove (shift)")
    add("--keep-characteristics", action="store_true", help="keep sex, age, size, weight")
    add("--deface", action="store_true", help="blank the face: found by the brain, made if need be")
    add("--mask", type=Path, metavar="FILE", help="brain mask of the scan, for --deface")
    add("--check", action="store_true", help="write nothing: say what INPUT still tells")


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 1 if "--check" in words else 2


def run(args: argparse.Namespace) -> int:
    """Write the folder, or check one; say what is left."""
    if args.check:
        return _check(args.input)
    _require_place(args)
    from petechia.files.dicom.deidentify.clean import Choice
    from petechia.files.dicom.deidentify.folder import deidentify_folder

    choice = Choice(
        secret=_secret(args.secret, args.output),
        dates=args.dates,
        characteristics=args.keep_characteristics,
    )
    planes = None
    if args.deface:
        from petechia.pipeline.deidentified import face_planes

        planes = face_planes(args.input, args.mask)
    told = deidentify_folder(args.input, args.output, choice, planes)
    print(f"{told.written} files written to {args.output}")
    if len(told.people) > 1:
        print(
            f"{len(told.people)} people by number or name: {', '.join(sorted(told.people))}. If "
            "that is one person, its numbers differ between studies, and so do the shifts of dates"
        )
    if args.deface:
        print(f"{told.faceless} of them MR images whose face was blanked")
    for why, n in told.left_out.most_common():
        print(f"left out: {n} {why}")
    say_residue(told.residue)
    if told.still_named:
        print(
            f"{told.still_named} files were not written: they would still tell of the person. "
            "Empty the elements named above in the source",
            file=sys.stderr,
        )
    return 2 if told.still_named else 0


def _require_place(args: argparse.Namespace) -> None:
    from petechia.files.places import require_apart

    if args.output is None:
        raise ParameterError(
            "OUTPUT is missing", where="petechia deidentify", mend="Name a new folder."
        )
    if args.mask is not None and not args.deface:
        raise ParameterError(
            "--mask was given without --deface", where="petechia deidentify", mend="Add --deface."
        )
    if not args.input.exists():
        raise FileError("no such file or folder", where=str(args.input), mend="Check the path.")
    require_apart(args.output, [args.input])
    if args.output.exists() and (not args.output.is_dir() or any(args.output.iterdir())):
        raise OutputError(
            "there is something already",
            where=str(args.output),
            mend="Name a new folder: what is without names must not mix with what is not.",
        )


def _secret(path: Path | None, output: Path) -> bytes:
    """Return the key; make it when its file is not there."""
    if path is None:
        print(
            "no --secret: the new names and dates cannot be made again for another exam",
            file=sys.stderr,
        )
        return secrets.token_bytes(32)
    from petechia.files.places import real_place

    if real_place(output) in real_place(path).parents:
        raise ParameterError(
            "the key would travel with the files",
            where=f"--secret {path}",
            mend="Keep it elsewhere, where only you can read it.",
        )
    if not path.exists():
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(32) + "\n")
        except OSError as error:
            raise OutputError(
                f"cannot be written ({error.strerror})", where=str(path), mend="Choose another."
            ) from error
        print(f"key made: {path}. Keep it secret, and keep it.", file=sys.stderr)
    key = path.read_bytes().strip()
    if len(key) < SHORTEST_SECRET:
        raise ParameterError(
            f"a key of {len(key)} bytes can be guessed",
            where=f"--secret {path}",
            mend=f"Use {SHORTEST_SECRET} random bytes or more; name a new file to have one made.",
        )
    return key


def _check(place: Path) -> int:
    if not place.exists():
        raise FileError("no such file or folder", where=str(place), mend="Check the path.")
    from petechia.files.dicom.deidentify.folder import check_folder

    n, residue = check_folder(place)
    print(f"{n} DICOM files")
    say_residue(residue)
    return 2 if residue.found else 0


def say_residue(residue: "Residue") -> None:
    """Print what is left, never a value of it."""
    for (where, what), n in residue.found.most_common():
        print(f"LEFT: {where} still holds the source's {what} ({n} times)")
    if not residue.found:
        print("no name, number or identifier of the source was found in any element")
    for where, n in residue.private.most_common():
        print(f"private element kept: {where} ({n} times)")
    for where, n in residue.free_text.most_common():
        print(f"free text, to be read by a person: {where} ({n} times)")
    for doubt, n in residue.doubts.most_common():
        print(f"cannot be told: {doubt} ({n} files)")
