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
}
