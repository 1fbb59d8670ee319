"""Candidate finders. To add one: write its module, add its row here."""

from petechia.core.methods import Method

METHODS: dict[str, Method] = {
    "radial_symmetry": Method(
        load="petechia.lesions.candidates.radial_symmetry:radial_symmetry",
        params="RadialSymmetryParams",
        needs=("relative_signal", "mask"),
        gives=("candidates",),
        summary="gradients vote for the middle of dark round spots, at several radii in mm",
        doi="10.1109/TPAMI.2003.1217601",
    ),
    "blob": Method(
        load="petechia.lesions.candidates.blob:blob",
        params="BlobParams",
        needs=("relative_signal", "mask"),
        gives=("candidates",),
        summary="maxima of the scale-normalised Laplacian of Gaussian, scales in mm",
        doi="10.1023/A:1008045108935",
    ),
    "dipole_match": Method(
        load="petechia.lesions.candidates.dipole_match:dipole_match",
        params="DipoleMatchParams",
        needs=("local_field_ppm", "field_noise_ppm", "mask"),
        gives=("candidates",),
        summary="local field correlated with the pattern of a point dipole; gives the sign",
        doi="10.1002/mrm.22998",
    ),
    "chi_peak": Method(
        load="petechia.lesions.candidates.chi_peak:chi_peak",
        params="ChiPeakParams",
        needs=("chi_ppm", "mask"),
        gives=("candidates",),
        summary="peaks of susceptibility of either sign above its surroundings",
        doi="10.1148/radiol.11110251",
    ),
}
