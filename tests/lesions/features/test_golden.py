"""Every feature of three voids, stored: the hash names features, this sees what they mean.

The scan is made of closed forms, without chance. After a change of features that is meant, raise
`VERSION` in `petechia.lesions.features`, train the model again, and write the file anew:

    python tests/lesions/features/test_golden.py
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from petechia.core.grid import Grid
from petechia.core.units import radians_per_ppm
from petechia.lesions.features import NAMES
from petechia.lesions.inputs import LesionInputs
from petechia.lesions.look import look
from petechia.lesions.params import DetectParams

STORED = Path(__file__).with_name("golden.json")
GRID = Grid((44, 42, 30), np.diag([0.9, 1.0, 1.4, 1.0]))
B0_T, TE_S = 3.0, 0.02
BLEEDS = {
    "dentate": ((12.2, 13.1, 9.3), 1.5, 0.9),
    "lobar": ((21.4, 17.0, 11.2), 1.2, 0.8),
    "pallidum": ((31.0, 28.6, 19.1), 1.6, -0.7),
}
"""Centre [voxels], radius [mm], susceptibility [ppm]; the first two lie 9 to 10 mm apart."""
CHANGED = (
    "features changed meaning: {0}. The model in the package was trained on the stored ones: it "
    "must be trained again (docs/development/add-a-feature.md), or the change taken back."
)


@dataclass(frozen=True)
class Place:
    name: str
    site: str
    side: str
    compartment: str


def region_of(at) -> Place:
    if at[0] > 26:
        return Place("pallidum", "basal_ganglia", "right", "deep")
    if at[0] < 17:
        return Place("dentate", "cerebellum", "left", "infratentorial")
    return Place("frontal", "frontal lobe", "left", "lobar")


def spheres():
    """Return echo, field, susceptibility and share of bleed, means of 27 points a voxel."""
    volumes = [np.zeros(GRID.shape, dtype=kind) for kind in (complex, float, float, float)]
    index = np.moveaxis(np.indices(GRID.shape), 0, -1)
    rate = radians_per_ppm(B0_T, TE_S)
    for shift in np.stack(np.meshgrid(*[(-1 / 3, 0, 1 / 3)] * 3)).reshape(3, -1).T:
        field, chi = np.zeros(GRID.shape), np.zeros(GRID.shape)
        for centre, radius_mm, chi_ppm in BLEEDS.values():
            away = (index + shift - centre) * GRID.spacing_mm
            r = np.linalg.norm(away, axis=-1)
            dipole = (radius_mm / np.maximum(r, radius_mm)) ** 3 * (3 * (away[..., 2] / r) ** 2 - 1)
            field += np.where(r > radius_mm, chi_ppm / 3 * dipole, 0)
            chi += np.where(r <= radius_mm, chi_ppm, 0)
        echo = np.where(chi != 0, 0.3, 1.0) * np.exp(1j * rate * field)
        for volume, value in zip(volumes, (echo, field, chi, chi != 0), strict=True):
            volume += value / 27
    return volumes


def scan() -> LesionInputs:
    """Return a scan that knows everything that a feature asks for."""
    echo, field, chi, share = spheres()
    i, j, k = np.indices(GRID.shape)
    grain = 0.012 * np.sin(2.3 * i + 0.7) * np.sin(1.9 * j + 0.3) * np.sin(2.7 * k + 1.1)
    brain = ((i - 21.5) / 21) ** 2 + ((j - 20.5) / 20) ** 2 + ((k - 14.5) / 14.5) ** 2 < 1
    magnitude = 700 * (1 + 0.004 * j) * (np.abs(echo) + grain)
    rods = np.exp(-((j - 0.5 * i - 9) ** 2 + (k - 13) ** 2) / 9.0)
    fluid = np.exp(-((i - 22) ** 2 + (j - 6) ** 2) / 40.0)
    return LesionInputs(
        grid=GRID, brain_mask=brain, b0_t=B0_T, reading_te_s=TE_S, magnitude=magnitude,
        swi=magnitude * np.clip(1 - np.abs(field), 0, 1) ** 2, r2star=20 + 55 * share + 90 * grain,
        local_field_ppm=field + 0.05 * grain, total_field_ppm=field + 0.01 * k,
        field_noise_ppm=np.full(GRID.shape, 0.003), chi_ppm=chi + 0.4 * grain, vessel=rods,
        vein_length_mm=np.where(rods > 0.4, 17.0, 0.0), csf=fluid,
        ventricle_mask=(fluid > 0.5) & (k > 20), air_mask=~brain & (k < 2),
        structures={"pallidum": (i > 28) & (j > 25), "choroid_plexus": (i < 5) & (j < 5),
                    "pineal": (i > 40) & (j > 38)},
        region_of=region_of,
    )  # fmt: skip


def described() -> dict[str, dict[str, float]]:
    """Return what is told of each void by name; of the first one also as if it lay far off."""
    seen = look(scan(), DetectParams())
    centres = np.array([f.shape.centre_vox for f in seen.features])
    rows, table = {}, seen.describe().table
    for name, (centre, _, _) in BLEEDS.items():
        away = np.linalg.norm((centres + seen.corner - centre) * GRID.spacing_mm, axis=1)
        n = int(np.argmin(away))
        assert away[n] < 1.5, f"no void at {name}, the nearest is {away[n]:.1f} mm away"
        rows[name] = dict(zip(NAMES, table[n].tolist(), strict=True))
        if name == "dentate":
            far = np.array([centres[n], centres[n] + (50, 0, 0)])
            alone = replace(seen, voids=seen.voids[n : n + 1], features=seen.features[n : n + 1],
                            by_void=seen.by_void[n : n + 1], centres_vox=far)  # fmt: skip
            rows["alone"] = dict(zip(NAMES, alone.describe().table[0].tolist(), strict=True))
    return rows


def test_features_mean_what_the_model_was_trained_on():
    stored, now = json.loads(STORED.read_text("utf-8")), described()
    assert sorted(stored) == sorted(now)
    wrong = []
    for void, row in now.items():
        for name in dict.fromkeys((*stored[void], *row)):
            was, value = (told.get(name, "not there") for told in (stored[void], row))
            if isinstance(was, str) or isinstance(value, str):
                wrong.append(f"{name} of {void} was {was}, is {value}")
            elif not np.isclose(value, np.nan if was is None else was, rtol=1e-3, atol=1e-5,
                                equal_nan=True):  # fmt: skip
                wrong.append(f"{name} of {void} was {was}, is {value:.6g}")
    assert not wrong, CHANGED.format("; ".join(wrong))


def test_every_feature_is_there_in_some_stored_void():
    stored = json.loads(STORED.read_text("utf-8"))
    never = [name for name in NAMES if all(row[name] is None for row in stored.values())]
    assert never == []


if __name__ == "__main__":
    told = {
        void: {name: float(f"{value:.6g}") if np.isfinite(value) else None
               for name, value in row.items()}
        for void, row in described().items()
    }  # fmt: skip
    STORED.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
