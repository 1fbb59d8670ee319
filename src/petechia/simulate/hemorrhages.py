"""Hemorrhage larger than a microbleed: hematomas of every stage, cavernomas, siderosis."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.simulate.atlas import NOWHERE, PLACES, Atlas
from petechia.simulate.bodies import Body, body_where
from petechia.simulate.head import HeadParams, from_template, to_template
from petechia.simulate.sources import Source, location_masks, pick
from petechia.simulate.tissues import STAGE_CHI_PPM

Points = npt.NDArray[np.float64]
STAGES = tuple(STAGE_CHI_PPM)
RIM_MM = 0.9
"""Thickness of the hemosiderin rim of old blood."""


def stage_chi_ppm(stage: str, rng: np.random.Generator) -> float:
    """Draw the susceptibility of a hematoma of a stage, 0.1 ppm or more."""
    mean, spread = STAGE_CHI_PPM[stage]
    return float(np.clip(rng.normal(mean, spread), 0.1, 2.2))


def sample_macrobleeds(
    n: int, atlas: Atlas, head: HeadParams, rng: np.random.Generator, stage: str | None = None
) -> tuple[Source, ...]:
    """Draw `n` hematomas of 11 to 30 mm, of one stage or of any."""
    masks = location_masks(atlas)
    out = []
    for _ in range(n):
        where = str(rng.choice(["subcortical_wm", "basal_ganglia", "thalamus", "cerebellum"]))
        at, label = pick(masks[where], atlas, rng)
        age = stage or str(rng.choice(STAGES))
        centre = from_template(at, head, atlas)
        diameter = float(rng.uniform(11.0, 30.0))
        out.append(
            Source(
                kind="macrobleed",
                bodies=bleed(centre, diameter, age, rng),
                place=PLACES.get(label, NOWHERE),
                title=f"{age} hemorrhage",
            )
        )
    return tuple(out)


def bleed(
    centre: Points, diameter_mm: float, stage: str, rng: np.random.Generator
) -> tuple[Body, ...]:
    """Return a lumpy ellipsoid; from the late subacute stage on it has a hemosiderin rim."""
    surface = _lumpy(centre, 0.5 * diameter_mm, rng)
    half = 0.9 * diameter_mm
    chi = stage_chi_ppm(stage, rng)
    if stage not in ("late subacute", "chronic"):
        return _present(body_where(surface, centre, half, chi, stage))
    rim = 0.5 * RIM_MM
    return _present(
        body_where(lambda x: surface(x) + RIM_MM, centre, half, chi, stage),
        body_where(
            lambda x: np.abs(surface(x) + rim) - rim,
            centre,
            half,
            stage_chi_ppm("chronic", rng),
            "hemosiderin",
        ),
    )


def _present(*bodies: Body | None) -> tuple[Body, ...]:
    return tuple(b for b in bodies if b is not None)


def _lumpy(
    centre: Points, radius_mm: float, rng: np.random.Generator
) -> Callable[[Points], Points]:
    """Return the signed distance to a lumpy ellipsoid, about true near its surface."""
    axes = rng.uniform(0.75, 1.3, 3)
    axes /= axes.prod() ** (1 / 3)
    lumps = rng.normal(0, 1, (6, 3))
    lumps *= rng.uniform(1.5, 4.0, 6)[:, None] / np.linalg.norm(lumps, axis=1, keepdims=True)
    turns = rng.uniform(0, 2 * np.pi, 6)

    def signed(places: Points) -> Points:
        away = (places - centre) / (axes * radius_mm)
        wave = np.cos(away @ lumps.T + turns).mean(axis=-1)
        out: Points = (np.linalg.norm(away, axis=-1) - 1 + 0.25 * wave) * radius_mm
        return out

    return signed


def sample_cavernomas(
    n: int, atlas: Atlas, head: HeadParams, rng: np.random.Generator
) -> tuple[Source, ...]:
    """Draw `n` cavernomas: locules of blood of several ages in one rim of hemosiderin."""
    masks = location_masks(atlas)
    out = []
    for _ in range(n):
        where = str(rng.choice(["subcortical_wm", "cortex", "brainstem", "cerebellum"]))
        at, label = pick(masks[where], atlas, rng)
        centre = from_template(at, head, atlas)
        n_locules = int(rng.integers(4, 9))
        radii = rng.uniform(1.2, 3.0, n_locules)
        spread = rng.normal(0, 1, (n_locules, 3))
        spread *= (rng.uniform(0.5, 1.0, n_locules) * 3.2 / np.linalg.norm(spread, axis=1))[:, None]
        ages = rng.integers(0, 2, n_locules)
        bodies = [
            body_where(
                _locules(centre + spread, radii, ages == n),
                centre,
                9.0,
                stage_chi_ppm(stage, rng),
                stage,
            )
            for n, stage in enumerate(("early subacute", "late subacute"))
        ]
        union = _locules(centre + spread, radii, ages >= 0)
        bodies.append(
            body_where(
                lambda x, union=union: np.abs(union(x) - 0.5) - 0.5,  # type: ignore[misc]
                centre,
                9.0,
                float(rng.uniform(0.8, 1.6)),
                "hemosiderin",
            )
        )
        out.append(
            Source(
                kind="undetermined",
                bodies=_present(*bodies),
                place=PLACES.get(label, NOWHERE),
                title="cavernoma",
            )
        )
    return tuple(out)


def _locules(
    centres: Points, radii: Points, mine: npt.NDArray[np.bool_]
) -> Callable[[Points], Points]:
    """Return the signed distance to those balls, where no other ball is nearer."""

    def signed(places: Points) -> Points:
        away = np.stack(
            [
                np.linalg.norm(places - centre, axis=-1) - r
                for centre, r in zip(centres, radii, strict=True)
            ]
        )
        owner = mine[away.argmin(axis=0)]
        return np.where(owner, away.min(axis=0), 9.0)

    return signed


def sample_siderosis(
    n: int, atlas: Atlas, head: HeadParams, rng: np.random.Generator
) -> tuple[Source, ...]:
    """Draw `n` patches of superficial siderosis: a layer of iron on the banks of a sulcus."""
    convexity = location_masks(atlas)["cortex"] & (atlas.places_mm[..., 2] > 15.0)
    wet = ndimage.gaussian_filter(atlas.fluid, 0.6)
    banks = convexity & ndimage.binary_dilation(wet > 0.5, iterations=1)
    out = []
    for _ in range(n):
        at, label = pick(banks, atlas, rng)
        centre = from_template(at, head, atlas)
        surface = _layer(
            atlas, head, wet, centre, float(rng.uniform(0.5, 1.0)), float(rng.uniform(8.0, 18.0))
        )
        body = body_where(surface, centre, 19.0, float(rng.uniform(0.4, 1.0)), "hemosiderin")
        if body is not None and body.volume_mm3 > 5.0:
            out.append(
                Source(
                    kind="siderosis",
                    bodies=(body,),
                    place=PLACES.get(label, NOWHERE),
                    title="superficial siderosis",
                )
            )
    return tuple(out)


def _layer(
    atlas: Atlas,
    head: HeadParams,
    wet: npt.NDArray[np.float32],
    centre: Points,
    thick_mm: float,
    reach_mm: float,
) -> Callable[[Points], Points]:
    """Return the signed distance to a layer at the edge of fluid, within a reach."""
    step = float(atlas.grid.spacing_mm[0])
    slope = np.linalg.norm(np.asarray(np.gradient(wet, step)), axis=0).astype(np.float32)

    def signed(places: Points) -> Points:
        index = atlas.grid.to_index(to_template(places, head, atlas))
        index = np.moveaxis(index, -1, 0)
        value = ndimage.map_coordinates(wet, index, order=1)
        steep = ndimage.map_coordinates(slope, index, order=1)
        brain = ndimage.map_coordinates(atlas.brain, index, order=1)
        from_edge = np.abs(value - 0.5) / np.maximum(steep, 0.05) - 0.5 * thick_mm
        from_reach = np.linalg.norm(places - centre, axis=-1) - reach_mm
        return np.where(brain > 0.5, np.maximum(from_edge, from_reach), 9.0)

    return signed
