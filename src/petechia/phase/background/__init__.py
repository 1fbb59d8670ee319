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
}
