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
    "l2": Method(
        load="petechia.qsm.inversion.l2:l2",
        params="L2Params",
        needs=("field_ppm", "mask"),
        gives=("chi_ppm",),
        summary="closed form with a penalty on the squared gradient; fast, smooth",
        doi="10.1002/jmri.24365",
    ),
    "nltv": Method(
        load="petechia.qsm.inversion.nltv:nltv",
        params="NltvParams",
        needs=("field_ppm", "weights", "mask"),
        gives=("chi_ppm",),
        summary="FANSI: total variation with the misfit on the circle; wrong turns do no harm",
        doi="10.1002/mrm.27073",
    ),
    "l1": Method(
        load="petechia.qsm.inversion.l1:l1",
        params="L1Params",
        needs=("field_ppm", "weights", "mask"),
        gives=("chi_ppm",),
        summary="total variation with absolute misfits; wrong voxels make no streaks",
        doi="10.1002/mrm.28957",
    ),
    "medi": Method(
        load="petechia.qsm.inversion.medi:medi",
        params="MediParams",
        needs=("field_ppm", "weights", "magnitude", "mask"),
        gives=("chi_ppm",),
        summary="MEDI: edges where the magnitude has them, misfits reweighted (MERIT)",
        doi="10.1016/j.neuroimage.2011.08.082",
    ),
    "strong_first": Method(
        load="petechia.qsm.inversion.strong_first:strong_first",
        params="StrongFirstParams",
        needs=("field_ppm", "weights", "mask"),
        gives=("chi_ppm",),
        summary="strong sources first, by absolute misfits, then the tissue between them",
        doi="",
    ),
    "two_pass": Method(
        load="petechia.qsm.inversion.two_pass:two_pass",
        params="TwoPassParams",
        needs=("field_ppm", "weights", "mask"),
        gives=("chi_ppm",),
        summary="with the voids of strong sources left out, and with them; each map where it holds",
        doi="10.1002/mrm.29048",
    ),
    "single_step": Method(
        load="petechia.qsm.inversion.single_step:single_step",
        params="SingleStepParams",
        needs=("total_field_ppm", "weights", "magnitude", "mask"),
        gives=("chi_ppm",),
        summary="from the total field: spherical means, inversion and edges in one",
        doi="10.1002/nbm.3570",
    ),
}
