"""Files below a folder: what every search of a place looks through."""

import os
import stat
from pathlib import Path


def names_below(root: Path) -> tuple[list[str], int]:
    """Return the relative POSIX paths of all files below `root`, sorted, and the rest's number.

    Hidden ones are left out. Linked folders are followed, but never twice. What is no file
    (pipes, sockets, devices: reading one may never end) is counted.
    """
    seen: set[str] = set()
    names, n_special = [], 0
    for folder, subfolders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = sorted(s for s in subfolders if not s.startswith("."))
        for name in files:
            path = Path(folder, name)
            if name.startswith("."):
                continue
            if is_special(path):
                n_special += 1
            else:
                names.append(path.relative_to(root).as_posix())
    return sorted(names), n_special


def is_special(path: Path) -> bool:
    """Whether there is something at `path` that is neither file nor folder."""
    try:
        mode = path.stat().st_mode
    except OSError:  # a broken link: opening it tells
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
