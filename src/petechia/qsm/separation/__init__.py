"""Separation of paramagnetic from diamagnetic sources. To add one: its module, its row here."""

from petechia.core.methods import Method

METHODS: dict[str, Method] = {
    "voxelwise": Method(
        load="petechia.qsm.separation.voxelwise:voxelwise",
        params="VoxelwiseParams",
        needs=("chi_ppm", "r2prime", "b0_t", "mask"),
        gives=("chi_positive_ppm", "chi_negative_ppm"),
        summary="closed form from a susceptibility map and R2'; the map is taken as it is",
        doi="10.3390/tomography8030127",
    ),
    "chi_separation": Method(
        load="petechia.qsm.separation.chi_separation:chi_separation",
        params="ChiSeparationParams",
        needs=("field_ppm", "r2prime", "b0_t", "weights", "mask"),
        gives=("chi_positive_ppm", "chi_negative_ppm"),
        summary="inversion of the local field and R2' at once, R2' as a bound if asked for",
        doi="10.1016/j.neuroimage.2021.118371",
    ),
}
