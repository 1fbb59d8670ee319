"""One person: anatomy, vessels, lesions and pose, each from a stream of its own."""

from dataclasses import dataclass

import numpy as np

from second.anatomy import Anatomy, anatomy_of
from second.body import Space, spaces_of
from second.lesions import Lesion, lesions_of
from second.veins import Vein, veins_of
from second.warp import Warp, warp_of


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Person:
    """A person who can be scanned with any protocol.

    Attributes
    ----------
    anatomy, warp : Anatomy, Warp
    veins, spaces, lesions : list
    """

    anatomy: Anatomy
    warp: Warp
    veins: list[Vein]
    spaces: list[Space]
    lesions: list[Lesion]


def person_of(seed: int, number: int, microbleeds: int) -> Person:
    """Return person `number` of a seed.

    The same person with another number of microbleeds has the same head, veins and pose.
    """

    def stream(part: int) -> np.random.Generator:
        return np.random.default_rng([seed, number, part])

    anatomy = anatomy_of(stream(1))
    veins = veins_of(stream(2), anatomy)
    return Person(
        anatomy=anatomy,
        warp=warp_of(stream(3)),
        veins=veins,
        spaces=spaces_of(stream(4), anatomy),
        lesions=lesions_of(stream(5), anatomy, veins, microbleeds),
    )
