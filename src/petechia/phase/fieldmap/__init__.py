"""Ways to one field map from all echoes. To add one: write its module, add its row here."""

from petechia.core.methods import Method

METHODS: dict[str, Method] = {
    "weighted": Method(
        load="petechia.phase.fieldmap.weighted:weighted",
        params="WeightedParams",
        needs=("unwrapped_rad", "magnitude", "te_s", "b0_t", "mask"),
        gives=("field_ppm", "noise_ppm", "residual_rad"),
        summary="line through the unwrapped phase, weighted with squared magnitude; outlying "
        "echoes held back",
        doi="",
    ),
    "complex_fit": Method(
        load="petechia.phase.fieldmap.complex_fit:complex_fit",
        params="ComplexFitParams",
        needs=("unwrapped_rad", "phase_rad", "magnitude", "te_s", "b0_t", "mask"),
        gives=("field_ppm", "noise_ppm", "residual_rad"),
        summary="nonlinear least squares of the complex echoes; whole turns do not matter",
        doi="10.1002/mrm.24272",
    ),
}
