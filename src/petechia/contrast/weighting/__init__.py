"""Susceptibility-weighting methods. To add one: write its module, add its row here."""

from petechia.core.methods import Method

METHODS: dict[str, Method] = {
    "swi": Method(
        load="petechia.contrast.weighting.swi:swi",
        params="SwiParams",
        needs=("magnitude", "highpass_rad"),
        gives=("swi",),
        summary="magnitude times a positive, negative or two-sided phase mask; either handedness",
        doi="10.1002/mrm.20198",
    ),
    "clear_swi": Method(
        load="petechia.contrast.weighting.clear_swi:clear_swi",
        params="ClearSwiParams",
        needs=("magnitude", "te_s", "field_ppm", "mask"),
        gives=("swi",),
        summary="all echoes, combined by their signal to noise; a smooth mask set by the phase",
        doi="10.1016/j.neuroimage.2021.118175",
    ),
    "tswi": Method(
        load="petechia.contrast.weighting.tswi:tswi",
        params="TswiParams",
        needs=("magnitude", "chi_ppm"),
        gives=("swi",),
        summary="true SWI: the magnitude, dark where the susceptibility map is paramagnetic",
        doi="10.1002/jmri.24413",
    ),
    "smwi": Method(
        load="petechia.contrast.weighting.smwi:smwi",
        params="SmwiParams",
        needs=("magnitude", "te_s", "chi_ppm"),
        gives=("swi",),
        summary="all echoes, dark where the susceptibility map is paramagnetic, or diamagnetic",
        doi="10.1002/mrm.24920",
    ),
}
