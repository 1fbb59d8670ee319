"""Heads kept in memory, so that one person's many scans do not build them again and again."""

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from petechia.simulate.atlas import Atlas
from petechia.simulate.head import Head, HeadParams, head_chi, make_head
from petechia.simulate.render import WideSource, wide_source

Volume = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Anatomy:
    """All of a head that is the same in every scanner and position.

    Attributes
    ----------
    head : Head
        Its tissues.
    chi_ppm : (I, J, K) ndarray of float32
        Susceptibility against air [ppm].
    wide : WideSource
        Its smooth part, of which the field far around is made.
    """

    head: Head
    chi_ppm: Volume
    wide: WideSource


def anatomy_of(params: HeadParams, atlas: Atlas, voxel_mm: float) -> Anatomy:
    """Return a head on voxels of `voxel_mm` with what scans need of it; its maps are read-only."""
    head = make_head(params, atlas, voxel_mm)
    chi = head_chi(head)
    wide = wide_source(head.grid, chi)
    kept = [*head.fractions.values(), head.brain, head.iron_ppm, head.texture, chi]
    for array in [*kept, wide.spectrum.values]:
        array.flags.writeable = False
    return Anatomy(head=head, chi_ppm=chi, wide=wide)


@dataclass(slots=True)
class Heads:
    """The anatomies asked for last.

    Scans come out the same to the last bit with and without it.

    Attributes
    ----------
    most : int
        How many are kept; half a gigabyte each at voxels of 1 mm. 0 keeps none.
    """

    most: int = 1
    _kept: OrderedDict[tuple[HeadParams, Atlas, float], Anatomy] = field(
        default_factory=OrderedDict, repr=False
    )

    def of(self, params: HeadParams, atlas: Atlas, voxel_mm: float) -> Anatomy:
        """Return the anatomy of a drawn person: the one kept, or a new one.

        People are told apart by identity: sessions and protocols of one `Patient` share it.
        """
        key = (params, atlas, voxel_mm)
        found = self._kept.pop(key, None)
        if found is None:
            while self._kept and len(self._kept) >= self.most:
                self._kept.popitem(last=False)  # before the new one is made: for the peak's sake
            found = anatomy_of(params, atlas, voxel_mm)
        if self.most > 0:
            self._kept[key] = found
        return found
