"""The viewer inside a report: what its script is given, and the policy that lets it run alone."""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np

from petechia.assets.store import licences, load_bytes, manifest
from petechia.report.findings import Entry
from petechia.report.scene import Scene, Spot
from petechia.report.volumes import Packed, pack, packed_text

PANES = {
    "magnitude": ("Magnitude", ("magnitude",)),
    "swi": ("SWI", ("swi",)),
    "mip": ("mIP", ("mip",)),
    "chi": ("QSM", ("chi",)),
    "labels": ("Findings", ("magnitude", "labels")),
}
"""Panes: title, and the volumes that lie over each other."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """What the page needs for its viewer.

    Attributes
    ----------
    settings : str
        JSON that is safe inside a script element.
    volumes : list of Packed
    library : str
        NiiVue, packed as the volumes are.
    panes : list of (name, title)
    plane : str
        The plane shown at first.
    """

    settings: str
    volumes: list[Packed]
    library: str
    panes: list[tuple[str, str]]
    plane: str


def make_viewer(
    scene: Scene, budget_bytes: int, texts: dict[str, str], titled: Callable[[Entry], str]
) -> Viewer | None:
    """Return the viewer, its volumes within the budget; None when there is nothing to show."""
    library = packed_library()
    volumes = pack(scene, budget_bytes - len(library) - len(script()))
    if not volumes:
        return None
    have = {volume.name for volume in volumes}
    panes = [(name, title) for name, (title, needs) in PANES.items() if have.issuperset(needs)]
    if "magnitude" not in have:  # labels over what else there is
        panes.append(("labels", PANES["labels"][0]))
    return Viewer(
        settings=_settings(scene, volumes, panes, texts, titled),
        volumes=volumes,
        library=library,
        panes=panes,
        plane=scene.plane.name,
    )


def _settings(
    scene: Scene,
    volumes: list[Packed],
    panes: list[tuple[str, str]],
    texts: dict[str, str],
    titled: Callable[[Entry], str],
) -> str:
    base = next(volume.name for volume in volumes)
    low = np.array([first for first, _ in scene.extent], dtype=float)
    size = [last - first for first, last in scene.extent]
    made: dict[str, Any] = {
        "volumes": {
            v.name: {
                "shape": v.shape,
                "spacing": [round(s, 6) for s in v.spacing_mm],
                "slope": v.slope,
                "inter": v.inter,
                "low": v.shown.low,
                "high": v.shown.high,
                "unit": v.shown.unit,
            }
            for v in volumes
        },
        "panes": {
            name: {"title": title, "volumes": [base, "labels"] if name == "labels" else [name]}
            for name, title in panes
        },
        "size_mm": [n * s for n, s in zip(size, scene.layout.spacing_mm, strict=True)],
        "step_mm": list(scene.layout.spacing_mm),
        "to_mm": _to_world(scene, low),
        "plane": scene.plane.name,
        "findings": [_finding(spot, low, titled(spot.entry)) for spot in scene.spots.values()],
        "texts": texts,
    }
    return json.dumps(made, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _finding(spot: Spot, low: Any, name: str) -> dict[str, Any]:
    """Return a finding's place [voxels from the crop's corner], in the slice that shows it."""
    return {
        "index": spot.entry.index,
        "name": name,
        "look": spot.entry.look,
        "at": [round(float(v), 2) for v in spot.place - low],
    }


def _to_world(scene: Scene, low: Any) -> list[list[float]]:
    """Return the (3, 4) matrix from voxels of the crop to scanner RAS [mm]."""
    layout = scene.layout
    last = np.asarray(layout.shape) - 1

    def world(laid: Any) -> Any:
        turned = np.where(layout.flipped, last - laid, laid)
        index = np.empty(3)
        index[list(layout.order)] = turned
        return layout.grid.to_mm(index)

    origin = world(low)
    columns = [world(low + step) - origin for step in np.eye(3)]
    return [[round(float(v), 6) for v in row] for row in np.column_stack([*columns, origin])]


@lru_cache(maxsize=1)
def script() -> str:
    """Return our own script."""
    place = files("petechia.report").joinpath("templates").joinpath("viewer.js")
    return place.read_text(encoding="utf-8").strip()


@lru_cache(maxsize=1)
def packed_library() -> str:
    """Return NiiVue as the page holds it."""
    return packed_text(load_bytes("niivue"))


@lru_cache(maxsize=1)
def library_licence() -> str:
    """Return NiiVue's licence and the notices of what it holds of others."""
    texts = licences()
    return "\n\n".join(texts[name].strip() for name in ("NiiVue.txt", "NiiVue-notices.txt"))


@lru_cache(maxsize=1)
def policy() -> str:
    """Return what the page may do: show its own pictures and run these two scripts, no more."""
    own, library = (
        base64.b64encode(digest).decode("ascii")
        for digest in (
            hashlib.sha256(script().encode("utf-8")).digest(),
            bytes.fromhex(manifest()["niivue"]["sha256"]),
        )
    )
    return (
        f"default-src 'none'; script-src 'sha256-{own}' 'sha256-{library}'; "
        "img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    )
