"""Transverse relaxation methods. To add one: write its module, add its row here."""

from petechia.core.methods import Method

METHODS: dict[str, Method] = {
    "arlo": Method(
        load="petechia.contrast.relaxation.arlo:arlo",
        params="ArloParams",
        needs=("magnitude", "te_s"),
        gives=("r2star", "s0"),
        summary="auto-regression on linear operations (Simpson); needs three equally spaced echoes",
        doi="10.1002/mrm.25137",
    ),
    "loglinear": Method(
        load="petechia.contrast.relaxation.loglinear:loglinear",
        params="LoglinearParams",
        needs=("magnitude", "te_s"),
        gives=("r2star", "s0"),
        summary="logarithm fitted by a line, weighted by squared magnitude; two echoes or more",
        doi="10.1002/mrm.24944",
    ),
}
