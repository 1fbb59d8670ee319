"""Measures of how much a voxel looks like a vessel. To add one: its module, and its row here."""

from petechia.core.methods import Method

METHODS: dict[str, Method] = {
    "frangi": Method(
        load="petechia.anatomy.vesselness.frangi:frangi",
        params="FrangiParams",
        needs=("image", "mask"),
        gives=("vesselness",),
        summary="tubes by ratios and size of the Hessian's eigenvalues, at several widths in mm",
        doi="10.1007/BFb0056195",
    ),
    "jerman": Method(
        load="petechia.anatomy.vesselness.jerman:jerman",
        params="JermanParams",
        needs=("image", "mask"),
        gives=("vesselness",),
        summary="volume ratio of the Hessian: as high at forks and in thin as in thick tubes",
        doi="10.1109/TMI.2016.2550102",
    ),
    "plate": Method(
        load="petechia.anatomy.vesselness.plate:plate",
        params="PlateParams",
        needs=("image", "mask"),
        gives=("plateness",),
        summary="sheets instead of tubes: siderosis, walls of sinuses, sulci",
        doi="10.3109/10929080601017212",
    ),
    "tube": Method(
        load="petechia.anatomy.vesselness.tube:tube",
        params="TubeParams",
        needs=("image", "mask"),
        gives=("vesselness",),
        summary="what the detector follows veins by: three widths, noise by the median curvature",
        doi="10.1007/BFb0056195",
    ),
}
