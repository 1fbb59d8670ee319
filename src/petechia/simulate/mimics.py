"""What is not a bleed but looks like one: calcifications, iron, air in bone."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.simulate.atlas import NOWHERE, PLACES, Atlas
from petechia.simulate.bodies import body_where
from petechia.simulate.head import HeadParams, from_template
from petechia.simulate.sources import (
    Source,
    Sphere,
    draw_moment,
    label_at,
    location_masks,
    pick,
    row_of_spheres,
    split,
    triple,
)
from petechia.simulate.tissues import AIR_PPM

CALCIFICATION_PPM_MM3 = (1.5, 8.0, 45.0)
"""5th, 50th and 95th percentile of the moment of calcifications, as absolute values."""
SPOTS: tuple[tuple[tuple[float, float, float], str], ...] = (
    ((0.0, -30.0, 1.0), "pineal"),
    ((-19.0, -4.0, -1.0), "pallidum"),
    ((19.0, -4.0, -1.0), "pallidum"),
    ((-23.0, -40.0, 9.0), "choroid plexus"),
    ((23.0, -40.0, 9.0), "choroid plexus"),
)
"""Where calcifications usually lie, in the template [mm]."""
IRON_RICH = ("pallidum", "putamen", "substantia_nigra", "red_nucleus", "dentate")


def sample_calcifications(
    n: int, atlas: Atlas, head: HeadParams, rng: np.random.Generator
) -> tuple[Source, ...]:
    """Draw `n` calcifications: pineal, pallidal, of the choroid plexus, the falx, the cortex."""
    out = []
    for index in rng.permutation(np.arange(n) % (len(SPOTS) + 2)):
        if index >= len(SPOTS):
            draw = _falx if index == len(SPOTS) else _cortical
            out.append(draw(atlas, head, rng))
            continue
        spot, structure = SPOTS[int(index)]
        at = np.asarray(spot) + rng.normal(0, 1.2, 3)
        moment = -draw_moment(rng, CALCIFICATION_PPM_MM3)
        chi = -float(rng.uniform(0.7, 2.4))
        out.append(
            Source(
                kind="calcification",
                spheres=split(from_template(at, head, atlas), moment, chi, rng),
                place=PLACES.get(label_at(atlas, at), NOWHERE),
                structure=structure,
            )
        )
    return tuple(out)


def _falx(atlas: Atlas, head: HeadParams, rng: np.random.Generator) -> Source:
    """Return a plaque in the falx, between the hemispheres."""
    at = np.array([0.0, rng.uniform(0.0, 45.0), rng.uniform(42.0, 58.0)])
    centre = from_template(at, head, atlas)
    half = np.array([rng.uniform(0.4, 0.9), rng.uniform(2.5, 6.0), rng.uniform(2.0, 4.0)])

    def signed(places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        radius = np.linalg.norm((places - centre) / half, axis=-1)
        return np.asarray((radius - 1) * half[0])

    chi = -float(rng.uniform(0.7, 2.0))
    body = body_where(signed, centre, float(half.max()) + 1.0, chi, "calcium")
    return Source(kind="calcification", bodies=() if body is None else (body,), structure="falx")


def _cortical(atlas: Atlas, head: HeadParams, rng: np.random.Generator) -> Source:
    """Return a row of grains in the cortex."""
    at, label = pick(location_masks(atlas)["cortex"], atlas, rng)
    moment = -draw_moment(rng, CALCIFICATION_PPM_MM3)
    chi = -float(rng.uniform(0.7, 2.4))
    return Source(
        kind="calcification",
        spheres=row_of_spheres(from_template(at, head, atlas), moment, chi, rng),
        place=PLACES.get(label, NOWHERE),
        title="cortical calcification",
    )


def sample_iron(
    n: int, atlas: Atlas, head: HeadParams, rng: np.random.Generator
) -> tuple[Source, ...]:
    """Draw `n` foci of iron in nuclei that are rich in it: wide, weak, without a sharp edge."""
    out = []
    for name in rng.choice(IRON_RICH, n):
        inside = ndimage.binary_erosion(atlas.nuclei[str(name)] > 0.5)
        at, label = pick(inside if inside.any() else atlas.nuclei[str(name)] > 0.5, atlas, rng)
        centre = from_template(at, head, atlas)
        radius = rng.uniform(1.2, 3.0) * rng.uniform(0.8, 1.3, 3)
        size = float(radius.mean())

        def signed(
            places: npt.NDArray[np.float64],
            centre: npt.NDArray[np.float64] = centre,
            radius: npt.NDArray[np.float64] = radius,
            size: float = size,
        ) -> npt.NDArray[np.float64]:
            # an edge as wide as the focus: a slope of a quarter
            far = np.linalg.norm((places - centre) / radius, axis=-1)
            return np.asarray((far - 1) * 0.25 * size)

        body = body_where(signed, centre, 3.0 * size + 2.0, float(rng.uniform(0.15, 0.4)), "iron")
        if body is not None:
            words = str(name).replace("_", " ")
            place = PLACES.get(label, NOWHERE)
            out.append(Source(kind="iron", bodies=(body,), place=place, structure=words))
    return tuple(out)


def sample_air_specks(
    n: int, atlas: Atlas, head: HeadParams, rng: np.random.Generator
) -> tuple[Source, ...]:
    """Draw `n` air cells in the bone of the skull base, 1.5 to 5 mm from the brain."""
    away = ndimage.distance_transform_edt(atlas.brain < 0.5, sampling=atlas.grid.spacing_mm)
    low = atlas.places_mm[..., 2] < -18.0
    bone = (away > 1.5) & (away < 5.0) & low & (atlas.head > 0.9) & (atlas.t1 < 90)
    out = []
    for _ in range(n):
        at, _label = pick(bone, atlas, rng)
        speck = Sphere(
            centre_mm=triple(from_template(at, head, atlas)),
            radius_mm=float(rng.uniform(0.4, 1.1)),
            chi_ppm=AIR_PPM,
            substance="air",
        )
        out.append(Source(kind="air_tissue", spheres=(speck,), structure="skull base"))
    return tuple(out)
