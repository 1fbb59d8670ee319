"""From places of the scanner to places of the template: pose, size and a smooth warp."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from second.geometry import rotation
from second.smooth import at_places, blurred

Vector = npt.NDArray[np.float64]
FIRST_MM, STEP_MM, NODES = -180.0, 6.0, 61
"""Nodes along each axis of the scanner."""
ROUNDS = 25


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Warp:
    """Where each place of the scanner lies in the template.

    Attributes
    ----------
    nodes_mm : (NODES, NODES, NODES, 3) ndarray of float32
        Template places of nodes in the scanner.
    linear : (3, 3) ndarray
        Its part without bends, scanner to template.
    shift_mm : (3,) ndarray
        Scanner place of the template's origin, without bends.
    """

    nodes_mm: npt.NDArray[np.float32]
    linear: Vector
    shift_mm: Vector

    def to_template(self, world_mm: npt.NDArray[np.floating]) -> Vector:
        """Return the template places of places (N, 3) of the scanner."""
        at = (world_mm - FIRST_MM) / STEP_MM
        return np.stack([at_places(self.nodes_mm[..., c], at) for c in range(3)], -1)

    def to_world(self, template_mm: npt.NDArray[np.floating]) -> Vector:
        """Return the scanner places of places (N, 3) of the template, by fixed-point rounds."""
        back = np.linalg.inv(self.linear)
        world = np.asarray(template_mm @ back.T + self.shift_mm)
        for _ in range(ROUNDS):
            world = world + (template_mm - self.to_template(world)) @ back.T
        return world


def warp_of(rng: np.random.Generator) -> Warp:
    """Return a new pose, size and shape of a head."""
    turn = rotation(rng.uniform(-7, 7, 3))
    size = rng.uniform(0.9, 1.07) * np.exp(rng.normal(0, 0.03, 3))
    linear, shift = np.diag(1 / size) @ turn.T, rng.uniform(-8, 8, 3)
    axis = np.arange(NODES) * STEP_MM + FIRST_MM
    nodes = (np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1) - shift) @ linear.T
    for c in range(3):
        for amplitude_mm, width_mm in ((2.6, 25), (1.0, 11)):
            bend = blurred(rng.standard_normal((NODES, NODES, NODES)), width_mm / STEP_MM)
            nodes[..., c] += amplitude_mm * bend / bend.std()
    return Warp(nodes_mm=nodes.astype(np.float32), linear=linear, shift_mm=shift)
