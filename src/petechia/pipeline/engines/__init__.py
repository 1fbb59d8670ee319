"""Engines that carry scans to workers. To add one: write its module, add its row here.

An engine is called as `engine(job, items, params)` and yields `(item, outcome)` as they end.
`job` never raises: it returns an outcome that says how the scan went.
"""

from petechia.core.methods import Method

METHODS: dict[str, Method] = {
    "local": Method(
        load="petechia.pipeline.engines.local:local",
        params="LocalParams",
        needs=("job", "items"),
        gives=("outcomes",),
        summary="processes on this computer, one scan each",
        doi="",
    ),
}
