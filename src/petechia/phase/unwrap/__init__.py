"""Phase unwrapping methods. To add one: write its module, add its row here."""

from petechia.core.methods import Method

METHODS: dict[str, Method] = {
    "romeo": Method(
        load="petechia.phase.unwrap.romeo:romeo",
        params="RomeoParams",
        needs=("phase_rad", "magnitude", "te_s", "mask"),
        gives=("unwrapped_rad",),
        summary="path by edge quality over space, echoes and magnitude; exact",
        doi="10.1002/mrm.28563",
    ),
    "laplacian": Method(
        load="petechia.phase.unwrap.laplacian:laplacian",
        params="LaplacianParams",
        needs=("phase_rad", "te_s", "mask"),
        gives=("unwrapped_rad",),
        summary="Fourier solution of the Laplacian; smooth and robust, not congruent modulo 2 pi",
        doi="10.1364/OL.28.001194",
    ),
    "best_path": Method(
        load="petechia.phase.unwrap.best_path:best_path",
        params="BestPathParams",
        needs=("phase_rad", "te_s", "mask"),
        gives=("unwrapped_rad",),
        summary="regions joined over their most reliable edges; exact, needs no magnitude",
        doi="10.1364/AO.46.006623",
    ),
    "temporal_echoes": Method(
        load="petechia.phase.unwrap.temporal:temporal",
        params="TemporalParams",
        needs=("phase_rad", "magnitude", "te_s", "mask"),
        gives=("unwrapped_rad",),
        summary="each voxel from echo to echo; errors do not spread, strong fields stay wrapped",
        doi="10.1002/mrm.24457",
    ),
}
