"""Background-field removal methods. To add one: write its module, add its row here."""

from petechia.core.methods import Method

METHODS: dict[str, Method] = {
    "vsharp": Method(
        load="petechia.phase.background.vsharp:vsharp",
        params="VsharpParams",
        needs=("field_ppm", "mask"),
        gives=("local_field_ppm", "mask"),
        summary="spherical mean value with radii that shrink towards the edge",
        doi="10.1002/mrm.23000",
    ),
    "pdf": Method(
        load="petechia.phase.background.pdf:pdf",
        params="PdfParams",
        needs=("field_ppm", "weights", "mask"),
        gives=("local_field_ppm", "mask"),
        summary="projection onto the fields of sources outside the mask; keeps the edge",
        doi="10.1002/nbm.1670",
    ),
    "resharp": Method(
        load="petechia.phase.background.resharp:resharp",
        params="ResharpParams",
        needs=("field_ppm", "mask"),
        gives=("local_field_ppm", "mask"),
        summary="spherical mean value, regularised by the size of the local field",
        doi="10.1002/mrm.24765",
    ),
    "sharp": Method(
        load="petechia.phase.background.sharp:sharp",
        params="SharpParams",
        needs=("field_ppm", "mask"),
        gives=("local_field_ppm", "mask"),
        summary="spherical mean value with one radius; fast, loses the rim and smooth fields",
        doi="10.1016/j.neuroimage.2010.10.070",
    ),
    "ismv": Method(
        load="petechia.phase.background.ismv:ismv",
        params="IsmvParams",
        needs=("field_ppm", "mask"),
        gives=("local_field_ppm", "mask"),
        summary="iterated spherical means with the field kept at the rim; no threshold",
        doi="10.1002/mrm.24998",
    ),
    "lbv": Method(
        load="petechia.phase.background.lbv:lbv",
        params="LbvParams",
        needs=("field_ppm", "mask"),
        gives=("local_field_ppm", "mask"),
        summary="Laplace's equation with the field's values at the edge, by multigrid",
        doi="10.1002/nbm.3064",
    ),
    "vresharp": Method(
        load="petechia.phase.background.vresharp:vresharp",
        params="VresharpParams",
        needs=("field_ppm", "mask"),
        gives=("local_field_ppm", "mask"),
        summary="the spheres of V-SHARP, regularised as RESHARP: keeps the rim, divides nothing",
        doi="10.1002/mrm.24765",
    ),
}
