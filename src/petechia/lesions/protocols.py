"""Whether two scans were made alike: what is seen and measured depends on it."""

import numpy as np

TOLERANCES = {"field": 0.05, "echo time": 0.1, "voxel": 0.1}
"""Relative differences up to which two protocols are the same."""


def protocol_differences(first: dict[str, object], second: dict[str, object]) -> list[str]:
    """Return in which ways two protocols differ, in words; empty when they are the same.

    Parameters
    ----------
    first, second : dict
        'b0_t', 'reading_te_s', 'spacing_mm', 'n_echoes', 'phase', 'acquisition_type',
        'sequence', 'manufacturer', 'model'; None where a fact is not known.
    """
    numbers = (
        ("field", "b0_t", 1.0, "T"),
        ("echo time", "reading_te_s", 1000.0, "ms"),
    )
    out = []
    for name, key, factor, unit in numbers:
        if first.get(key) is None or second.get(key) is None:
            continue
        pair = [float(p[key]) for p in (first, second)]  # type: ignore[arg-type]
        if abs(pair[0] - pair[1]) > TOLERANCES[name] * max(pair):
            out.append(f"{name} {factor * pair[0]:.3g} and {factor * pair[1]:.3g} {unit}")
    voxels = [np.sort(np.asarray(p["spacing_mm"], dtype=float)) for p in (first, second)]
    if (np.abs(voxels[0] - voxels[1]) > TOLERANCES["voxel"] * np.maximum(*voxels)).any():
        told = [" x ".join(f"{v:.3g}" for v in p["spacing_mm"]) for p in (first, second)]  # type: ignore[attr-defined]
        out.append(f"voxel {told[0]} and {told[1]} mm")
    words = {
        "n_echoes": "echoes", "phase": "phase", "acquisition_type": "acquisition",
        "sequence": "sequence", "manufacturer": "manufacturer", "model": "scanner",
    }  # fmt: skip
    for key, name in words.items():
        one, other = first.get(key), second.get(key)
        if one is not None and other is not None and one != other:
            out.append(f"{name} {one} and {other}")
    return out
