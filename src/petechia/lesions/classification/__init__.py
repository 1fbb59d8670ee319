"""Classifiers of voids. To add one: write its module, add its row here, train it.

Each row gives the log-odds that are joined into one calibrated probability; how they are joined
is part of the model (`training/fit.py`).
"""

from petechia.core.methods import Method

METHODS: dict[str, Method] = {
    "trees": Method(
        load="petechia.lesions.classification.boosted:boosted",
        params="BoostedParams",
        needs=("told", "model"),
        gives=("log_odds",),
        summary="gradient-boosted trees on features",
        doi="10.1214/aos/1013203451",
    ),
    "network": Method(
        load="petechia.lesions.classification.network:network",
        params="NetworkParams",
        needs=("told", "model"),
        gives=("log_odds",),
        summary="a small 3-D network on cubes of several images",
        doi="10.1109/TMI.2016.2528129",
    ),
    "combined": Method(
        load="petechia.lesions.classification.combined:combined",
        params="CombinedParams",
        needs=("told", "model"),
        gives=("log_odds",),
        summary="trees and network",
        doi="",
    ),
    "refined": Method(
        load="petechia.lesions.classification.refined:refined",
        params="RefinedParams",
        needs=("told", "model"),
        gives=("log_odds",),
        summary="trees and network, corrected by a sum of features",
        doi="",
    ),
}
