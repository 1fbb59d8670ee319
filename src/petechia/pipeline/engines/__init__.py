"""Engines that carry scans to workers. To add one: write its module, add its row here.

An engine is called as `engine(job, items, params, care=...)` and yields `(item, outcome)` as
they end, each item once. `job` never raises: it returns an outcome that says how the scan
went. `care` (`ledger.Care`) says how faults are met; `ledger.Ledger` keeps the books.
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
    "dask": Method(
        load="petechia.pipeline.engines.dask:dask",
        params="DaskParams",
        needs=("job", "items"),
        gives=("outcomes",),
        summary="workers of a Dask cluster (an address, this computer, SLURM), one scan each",
        doi="",
    ),
}
