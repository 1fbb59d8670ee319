"""Susceptibility-weighting methods. To add one: write its module, add its row here."""

from petechia.core.methods import Method

METHODS: dict[str, Method] = {
    "swi": Method(
        load="petechia.contrast.weighting.swi:swi",
        params="SwiParams",
        needs=("magnitude", "highpass_rad"),
        gives=("swi",),
        summary="magnitude times a phase mask to a power; either handedness",
        doi="10.1002/mrm.20198",
    ),
}
