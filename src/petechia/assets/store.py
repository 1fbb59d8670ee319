"""Vendored data, handed out as arrays after their hash was checked.

Names: `template`, the head every scan is registered to and simulated patients are grown from;
`detector`, `detector_network` and `detector_card`, the trained model of `training/`.
"""

import hashlib
import io
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.errors import FileError, ParameterError


@cache
def manifest() -> dict[str, Any]:
    """Return what MANIFEST.toml says of every vendored file, by name."""
    return tomllib.loads(_place("MANIFEST.toml").read_text(encoding="utf-8"))


def load_bytes(name: str) -> bytes:
    """Return the bytes of a vendored file.

    Raises
    ------
    ParameterError
        When nothing of that name is vendored.
    FileError
        When the file is missing or its SHA-256 is not the manifest's.
    """
    try:
        entry = manifest()[name]
    except KeyError:
        raise ParameterError(
            f"nothing is vendored as {name!r}",
            where="assets",
            mend=f"Choose one of {', '.join(sorted(manifest()))}.",
        ) from None
    return checked_bytes(entry["file"], entry["sha256"])


def checked_bytes(file: str, sha256: str) -> bytes:
    """Return the bytes of a file in the data folder if its hash is `sha256`."""
    mend = "The installation is damaged: install petechia again."
    try:
        content: bytes = _place(file).read_bytes()
    except OSError as error:
        raise FileError(f"cannot be read ({error})", where=f"assets/{file}", mend=mend) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise FileError(f"SHA-256 is {found}, not {sha256}", where=f"assets/{file}", mend=mend)
    return content


def load_arrays(name: str) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a vendored `.npz`, fresh copies at every call.

    `template` holds, on one 2 mm grid of (97, 115, 97) voxels, RAS:

    ============ ======= ==========================================================
    t1, t2       uint8   ICBM 152 2009c symmetric heads, arbitrary units
    brain_mask   uint8   0, 1; with sulcal fluid, down to the foramen magnum
    cerebra      uint8   CerebrA labels 0..102 (left = right + 51)
    regions      uint8   labels of `petechia.anatomy.sites.REGIONS`
    gm, wm, csf  float32 tissue priors 0..1, from 2009a by world coordinates: nearly,
                         not exactly, the space of the others
    affine       float64 (4, 4), voxel index to template RAS [mm]
    ============ ======= ==========================================================

    Raises
    ------
    ParameterError, FileError
        As `load_bytes`.
    """
    content = load_bytes(name)
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        arrays: dict[str, npt.NDArray[Any]] = {key: stored[key] for key in stored.files}
    for key, divisor in manifest()[name].get("divide", {}).items():
        arrays[key] = arrays[key].astype(np.float32) / np.float32(divisor)
    return arrays


def licences() -> dict[str, str]:
    """Return the licence texts of vendored data, by file name."""
    folder = _place("LICENSES")
    return {p.name: p.read_text(encoding="utf-8") for p in sorted(folder.iterdir(), key=str)}


def _place(name: str) -> Any:
    return files("petechia.assets").joinpath("data").joinpath(name)
