"""What the single-step commands share: their words, their images, their method settings."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petechia.apps.cli.words import LIST, count, pairs
from petechia.errors import InputError, OutputError, ParameterError

if TYPE_CHECKING:
    import numpy as np

    from petechia.core.grid import Grid
    from petechia.core.methods import Method
    from petechia.files.nifti import Volume
    from petechia.files.scan import Scan
    from petechia.pipeline.work import Work


def method_words(parser: argparse.ArgumentParser, default: str) -> None:
    """Add `--method` and `--set`."""
    parser.add_argument("--method", default=default, help=f"see `petechia methods` ({default})")
    parser.add_argument("--set", action=LIST, metavar="NAME=VALUE", help="a setting of the method")


def thread_words(parser: argparse.ArgumentParser) -> None:
    """Add `--n-threads`."""
    parser.add_argument("--n-threads", type=count, metavar="N", help="threads (all cores)")


def echo_words(parser: argparse.ArgumentParser, *, phase: bool) -> None:
    """Add the words that name a scan file by file."""
    add = parser.add_argument
    add("--mag", action=LIST, metavar="F", required=True, help="magnitude, one per echo or 4-D")
    if phase:
        add("--phase", action=LIST, metavar="F", help="phase, likewise")
        add("--phase-scale", type=float, metavar="K", help="phase times K is radians")
        add("--phase-sign", choices=["auto", "+1", "-1"], help="handedness of the phase (auto)")
    add("--te", action=LIST, metavar="S", help="echo times [s] (from JSON beside the files)")
    add("--b0", type=float, metavar="T", help="main field [T] (from JSON beside the files)")
    add("--mask", type=Path, metavar="FILE", help="brain mask; found when it is not given")


def n_threads(args: argparse.Namespace) -> int:
    """Return the number of threads asked for, all cores by default."""
    from petechia.apps.cli.run import cores

    return args.n_threads or cores()


def chosen(methods: "Mapping[str, Method]", args: argparse.Namespace) -> "tuple[Method, Any]":
    """Return the row named by `--method` and its settings from `--set`."""
    from petechia.core.methods import choose

    row = choose(methods, args.method, "--method")
    return row, row.settings(**pairs(args.set, "--set"))


def require_used(
    methods: "Mapping[str, Method]", args: argparse.Namespace, options: Mapping[str, str]
) -> None:
    """Raise `ParameterError` when an option was given that the method does not read.

    `options` are names of `args` and the arrays or facts they become.
    """
    for name, need in options.items():
        if getattr(args, name) is not None and need not in methods[args.method].needs:
            reading = ", ".join(other for other, row in methods.items() if need in row.needs)
            raise ParameterError(
                f"not used by --method {args.method}",
                where=f"--{name.replace('_', '-')}",
                mend=f"Leave it out, or take a method that reads it: {reading}.",
            )


def begun(args: argparse.Namespace) -> "Work":
    """Return the scan of `echo_words`, read, at the beginning of the road."""
    from petechia.apps.cli.run import named_scan, require_files
    from petechia.apps.cli.words import items
    from petechia.pipeline.given import given_volumes
    from petechia.pipeline.settings import Settings
    from petechia.pipeline.work import Work

    require_files("--mag", items(args.mag))
    require_files("--phase", items(getattr(args, "phase", None)))
    scan = named_scan(args).load()
    named = {name: getattr(args, name, None) for name in ("phase_sign", "operating_point")}
    settings = Settings.build(**named)
    work = Work(scan=scan, settings=settings)
    work.given_mask, work.given_field_ppm = given_volumes(args.mask, None, scan)
    return work


def walk_on(work: "Work", step: str, args: argparse.Namespace) -> None:
    """Take the scan down the road as far as `step`."""
    from petechia.pipeline.provenance import threads
    from petechia.pipeline.stages import walk

    with threads(n_threads(args)):
        walk(work, [step])


def require_outputs(
    outputs: list[Path | None],
    inputs: list[str | Path | None],
    beside: Sequence[str] = (),
) -> None:
    """Try, before the work, that every output can be written and is none of the inputs.

    `beside` are endings of what is written beside the first output.
    """
    from petechia.files.nifti import is_nifti
    from petechia.files.places import real_place
    from petechia.files.writing import make_folder

    read = [real_place(Path(path)) for path in inputs if path is not None]
    asked = [path for path in outputs if path is not None]
    for n, path in enumerate(asked):
        if not is_nifti(path.name):
            raise OutputError(
                "not the name of a NIfTI file",
                where=str(path),
                mend="Name it .nii.gz or .nii.",
            )
        if real_place(path) in [*read, *(real_place(other) for other in asked[:n])]:
            raise OutputError(
                "is read or written by this command already",
                where=str(path),
                mend="Name another file: the input is never written over.",
            )
        if path.is_dir():
            raise OutputError(
                "is a folder", where=str(path), mend="Name a file in it, ending .nii.gz."
            )
        make_folder(path.parent)
    read += [named_beside(path, ".json") for path in read]  # the facts of what is read
    for path in (named_beside(asked[0], ending) for ending in beside):
        if path.is_dir() or real_place(path) in read:
            raise OutputError(
                "is a folder" if path.is_dir() else "is read by this command already",
                where=str(path),
                mend=f"It is written beside {asked[0].name}: give that another name.",
            )


def main_field(b0_t: float | None) -> float | None:
    """Return `--b0`, checked."""
    from petechia.core.checks import require_between

    if b0_t is not None:
        require_between(b0_t, 0.05, 25, "--b0", "Give the field in tesla, e.g. 1.5, 3 or 7.")
    return b0_t


def magnitudes(paths: list[str], option: str) -> "tuple[np.ndarray, Volume]":
    """Return stacked echoes that could be a magnitude, and the first file."""
    from petechia.core.checks import require_signal, share_below_0

    echoes, first = stack(paths, option)
    for echo in echoes:
        require_signal(echo, str(first.path))
        if share := share_below_0(echo):
            raise ParameterError(
                f"{100 * share:.0f} % of its voxels are below 0",
                where=f"{option} {first.path}",
                mend="Is this a phase? Magnitudes are 0 or more.",
            )
    return echoes.clip(min=0), first


def stack(paths: list[str], option: str) -> "tuple[np.ndarray, Volume]":
    """Return echoes stacked to (E, I, J, K) and the first file; 4-D files hold all echoes."""
    import numpy as np

    from petechia.files.nifti import read_nifti, require_same_grid

    if not paths:
        raise ParameterError("no file", where=option, mend="Name at least one NIfTI file.")
    volumes = [read_nifti(Path(path)) for path in paths]
    first = volumes[0]
    first.grid.require_square(str(first.path))
    for volume in volumes[1:]:
        require_same_grid(volume.grid, str(volume.path), first.grid, str(first.path))
    return np.concatenate([volume.frames for volume in volumes]), first


def in_radians(raw: "np.ndarray", image: "Volume", scale: float | None) -> "np.ndarray":
    """Return phase in radians by `--phase-scale`, the JSON beside it, or its range."""
    from petechia.files.nifti import stem_of
    from petechia.files.phase_scaling import phase_to_radians
    from petechia.files.sidecars import read_json

    beside = image.path.with_name(stem_of(image.path.name) + ".json")
    units = read_json(beside).get("Units") if beside.is_file() else None
    rescale = None if scale is not None or image.rescale == (1.0, 0.0) else image.rescale
    if rescale is not None:  # the rules go by what the scanner stored
        raw = (raw - rescale[1]) / rescale[0]
    return phase_to_radians(
        raw,
        units_hint=None if units is None else str(units),
        rescale=rescale,
        scale=scale,
        where=str(image.path),
    ).phase_rad


def mask_or_everything(path: Path | None, grid: "Grid") -> "np.ndarray":
    """Return the mask at `path`, or one that holds every voxel."""
    import numpy as np

    from petechia.files.nifti import read_mask

    return np.ones(grid.shape, dtype=bool) if path is None else read_mask(path, grid)


def weights_or_none(path: Path | None, mask: "np.ndarray", grid: "Grid") -> "np.ndarray | None":
    """Return the weights at `path`, which must trust something in the mask."""
    from petechia.files.nifti import read_on_grid

    if path is None:
        return None
    weights = read_on_grid(path, grid)
    if not weights[mask].any():
        raise InputError(
            "weights are 0 in the whole mask",
            where=str(path),
            mend="Nothing would be trusted: give weights above 0 in the mask, or none.",
        )
    return weights


def save(path: Path, array: "np.ndarray", like: "Volume | Scan") -> None:
    """Write a volume (or echoes) with the input's geometry and say so."""
    from petechia.files.scan import Scan
    from petechia.files.writing import write_nifti

    if isinstance(like, Scan):
        write_nifti(path, array, like.echoes.grid, like.nifti_header)
    else:
        write_nifti(path, array, like.grid, like.header)
    print(path)


def save_table(image: Path, rows: list[dict[str, str]], columns: list[str]) -> None:
    """Write the table that goes beside a label image and say so."""
    from petechia.files.writing import write_table

    path = named_beside(image, ".tsv")
    write_table(path, rows, columns)
    print(path)


def save_facts(image: Path, facts: dict[str, Any]) -> None:
    """Write the JSON that goes beside an image and say so."""
    from petechia.files.writing import write_json

    path = named_beside(image, ".json")
    write_json(path, facts)
    print(path)


def named_beside(image: Path, ending: str) -> Path:
    """Return the name of what goes beside an image: its own with another ending."""
    from petechia.files.nifti import stem_of

    return image.with_name(stem_of(image.name) + ending)
