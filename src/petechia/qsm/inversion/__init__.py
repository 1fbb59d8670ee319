"""Dipole inversion methods. To add one: write its module, add its row here."""

from petechia.core.methods import Method

METHODS: dict[str, Method] = {
    "tkd": Method(
        load="petechia.qsm.inversion.tkd:tkd",
        params="TkdParams",
        needs=("field_ppm", "mask"),
        gives=("chi_ppm",),
        summary="thresholded k-space division; fast, streaky",
        doi="10.1002/mrm.22135",
    ),
    "tv": Method(
        load="petechia.qsm.inversion.tv:tv",
        params="TvParams",
        needs=("field_ppm", "weights", "mask"),
        gives=("chi_ppm",),
        summary="total variation by ADMM, weighted data fidelity; edges kept, streaks suppressed",
        doi="10.1002/mrm.25029",
    ),
}
