"""Everything a user may choose about a run: frozen, validated, printable.

The order of precedence is command line, then `--config` file, then preset.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from petechia.anatomy.vesselness import METHODS as VESSELNESS
from petechia.contrast.relaxation import METHODS as RELAXATION
from petechia.contrast.weighting import METHODS as WEIGHTING
from petechia.core.methods import Method, choose
from petechia.errors import FileError, ParameterError
from petechia.lesions.classification import METHODS as CLASSIFICATION
from petechia.phase.background import METHODS as BACKGROUND
from petechia.phase.fieldmap import METHODS as FIELDMAP
from petechia.phase.unwrap import METHODS as UNWRAP
from petechia.pipeline.calibration import SiteCalibration, read_calibration
from petechia.qsm.inversion import METHODS as INVERSION
from petechia.qsm.separation import METHODS as SEPARATION

FAMILIES: dict[str, Mapping[str, Method]] = {
    "unwrap": UNWRAP,
    "fieldmap": FIELDMAP,
    "background": BACKGROUND,
    "inversion": INVERSION,
    "relaxation": RELAXATION,
    "weighting": WEIGHTING,
    "classification": CLASSIFICATION,
}
"""Settings whose values are rows of a METHODS table."""
ALONE: dict[str, Mapping[str, Method]] = {"separation": SEPARATION, "vesselness": VESSELNESS}
"""Families of single steps, which a run does not choose from."""

PhaseSign = Literal["auto", "+1", "-1"]
Highpass = Literal["unwrapped", "homodyne"]
Reference = Literal["brain", "csf"]
OperatingPoint = Literal["screening", "balanced", "counting"]
Cerebellum = Literal["infratentorial", "ignored"]
PvsAbove = Literal[10, 20]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one run.

    Attributes
    ----------
    preset : str
        Name of the preset these settings began with.
    unwrap, fieldmap, background, inversion, relaxation, weighting, classification : str
        Rows of the METHODS tables.
    highpass : str
        High-pass phase of SWI: 'unwrapped' (unwrapped phase less its smooth part) or
        'homodyne' (complex low-pass; also used when the phase cannot be unwrapped).
    phase_sign : str
        'auto' settles the handedness by evidence; '+1' takes the phase as it is,
        '-1' negates it.
    reference : str
        What susceptibility is relative to: 'brain' (mean of the mask) or 'csf' (mean of the
        ventricles, found by their R2*).
    slab_mm : float
        Thickness of the minimum-intensity projection [mm], 1 to 50.
    operating_point : str
        Which probability counts, as the model's card declares: screening misses least,
        counting adds least that is false, balanced lies between.
    cerebellum : str
        How cerebellar microbleeds enter the patient's category: 'infratentorial' (with the deep
        ones) or 'ignored' (neither way, as in the Boston criteria 2.0).
    pvs_above : int
        Perivascular spaces of the basal ganglia give a point of the total small-vessel score
        above this number: 10 or 20, sources differ.
    calibration : str
        File of `petechia calibrate`: probabilities and thresholds as this site's readers decided;
        empty: as the detector was trained. In a settings file, relative to that file.
    method_settings : mapping
        Settings of single methods: {"tv": {"iterations": 80}}.
    """

    preset: str = "standard"
    unwrap: str = "romeo"
    fieldmap: str = "weighted"
    background: str = "vsharp"
    inversion: str = "single_step"
    relaxation: str = "nonlinear"
    weighting: str = "swi"
    classification: str = "refined"
    highpass: Highpass = "unwrapped"
    phase_sign: PhaseSign = "auto"
    reference: Reference = "brain"
    slab_mm: float = 9.0
    operating_point: OperatingPoint = "balanced"
    cerebellum: Cerebellum = "infratentorial"
    pvs_above: PvsAbove = 10
    calibration: str = ""
    method_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for family, methods in FAMILIES.items():
            choose(methods, str(getattr(self, family)), f"settings.{family}")
        for name, kind in get_type_hints(type(self)).items():
            words = get_args(kind) if get_origin(kind) is Literal else ()
            if words and getattr(self, name) not in words:
                raise ParameterError(
                    f"{getattr(self, name)!r} is not a choice",
                    where=f"settings.{name}",
                    mend=f"Choose one of {', '.join(map(str, words))}.",
                )
        number = isinstance(self.slab_mm, int | float) and not isinstance(self.slab_mm, bool)
        if not number or not 1 <= self.slab_mm <= 50:
            raise ParameterError(
                f"slab of {self.slab_mm!r} mm",
                where="settings.slab_mm",
                mend="Minimum-intensity projections are 5 to 20 mm thick; give 1 to 50.",
            )
        site = self.site()
        if site is not None and site.classification != self.classification:
            raise ParameterError(
                f"{site.name} was made with {site.classification!r}",
                where=f"settings.classification = {self.classification!r}",
                mend="Use that classification, or make a calibration for this one.",
            )
        known = {name: row for methods in FAMILIES.values() for name, row in methods.items()}
        for name, given in _table(self.method_settings, "settings.method_settings").items():
            _table(given, f"settings.method_settings.{name}")
            choose(known, name, "settings.method_settings").settings(**given)

    def site(self) -> SiteCalibration | None:
        """Return the calibration of the site; None without one."""
        if not isinstance(self.calibration, str):
            raise ParameterError(
                f"{self.calibration!r} is not a file",
                where="settings.calibration",
                mend="Give the path of a file that `petechia calibrate` wrote.",
            )
        return read_calibration(Path(self.calibration)) if self.calibration else None

    def method(self, family: str) -> tuple[str, Method, Any]:
        """Return the chosen row of `family`: its name, the row, its validated settings."""
        name = str(getattr(self, family))
        row = FAMILIES[family][name]
        return name, row, row.settings(**self.method_settings.get(name, {}))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON; of the calibration, its name without the place."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        plain["calibration"] = Path(self.calibration).name if self.calibration else ""
        plain["method_settings"] = {k: dict(v) for k, v in self.method_settings.items()}
        for family in FAMILIES:
            name, _, params = self.method(family)
            plain["method_settings"][name] = asdict(params)
        return plain

    @classmethod
    def build(cls, *, preset: str | None = None, config: Path | None = None, **given: Any) -> Self:
        """Return settings from a preset, a TOML file and explicit values, later ones winning.

        Values of None in `given` mean "not given".

        Raises
        ------
        FileError
            If `config` cannot be read as TOML.
        ParameterError
            If a name or value is not known.
        """
        table = read_config(config) if config else {}
        table.pop("cluster", None)  # where it runs, not what comes out: engines/cluster.py
        name = table.get("preset", "standard") if preset is None else preset
        table.pop("preset", None)
        if config and isinstance(table.get("calibration"), str) and table["calibration"]:
            table["calibration"] = str(config.parent / table["calibration"])
        given = {key: value for key, value in given.items() if value is not None}
        try:
            return cls._over_preset(name, table, given)
        except ParameterError as error:
            if config is None or cls._fits(name, table):
                raise
            where = f"{config.name}, {error.where}"
            raise ParameterError(error.what, where=where, mend=error.mend) from None

    @classmethod
    def _fits(cls, name: str, table: Mapping[str, Any]) -> bool:
        """Return whether a settings file is right by itself."""
        try:
            cls._over_preset(name, table, {})
        except ParameterError:
            return False
        return True

    @classmethod
    def _over_preset(cls, name: str, table: Mapping[str, Any], given: Mapping[str, Any]) -> Self:
        """Return a preset's settings, those of a file over them, and those given over both."""
        if not isinstance(name, str) or name not in PRESETS:
            raise ParameterError(
                f"no preset {name!r}", where="settings", mend=f"Choose one of {', '.join(PRESETS)}."
            )
        merged = {"preset": name, **PRESETS[name], **table, **given}
        merged["method_settings"] = _over(
            PRESETS[name].get("method_settings", {}), merged.get("method_settings", {})
        )
        known = [f.name for f in fields(cls)]
        for key, value in merged.items():
            if key not in known:
                raise ParameterError(
                    f"unknown setting {key} = {value!r}",
                    where="settings",
                    mend=f"Known settings: {', '.join(known)}.",
                )
        return cls(**merged)


PRESETS: dict[str, dict[str, Any]] = {
    "fast": {"inversion": "l2", "relaxation": "arlo"},
    "standard": {},
    "best": {
        "method_settings": {
            "single_step": {
                "radius_max_mm": 12.0,
                "n_radii": 4,
                "iterations": 50,
                "tolerance": 0.003,
            }
        }
    },
}


def _over(preset: Mapping[str, Any], given: Any) -> dict[str, dict[str, Any]]:
    """Return the method settings of a preset with those given over them, value by value."""
    where = "settings.method_settings"
    own = {k: _table(v, f"{where}.{k}") for k, v in _table(given, where).items()}
    return {k: {**preset.get(k, {}), **own.get(k, {})} for k in {**preset, **own}}


def _table(value: Any, where: str) -> Mapping[str, Any]:
    """Return `value`, which must be a table of names and values."""
    if not isinstance(value, Mapping):
        raise ParameterError(
            f"{value!r} is not a table",
            where=where,
            mend="Write e.g. [method_settings.tkd] and below it threshold = 0.15.",
        )
    return value


def read_config(path: Path) -> dict[str, Any]:
    """Return the table of a TOML settings file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise FileError(
            "no such file", where=str(path), mend="Check the path given to --config."
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise FileError(
            f"not readable as TOML: {said}",
            where=str(path),
            mend="See the settings page of the documentation for an example.",
        ) from None


def without_effect(config: Path | None, settings: Settings) -> list[str]:
    """Return which tables [method_settings] of a settings file change nothing, and why."""
    given = (read_config(config) if config else {}).get("method_settings", {})
    family_of = {name: family for family, methods in FAMILIES.items() for name in methods}
    return [
        f"[method_settings.{name}] changes nothing: {family_of[name]} is "
        f"{getattr(settings, family_of[name])!r}"
        for name in given
        if name != getattr(settings, family_of[name])
    ]


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a settings file."""
    defaults = Settings()
    properties: dict[str, Any] = {"preset": {"enum": list(PRESETS)}}
    for name, kind in get_type_hints(Settings).items():
        if name in ("preset", "method_settings"):
            continue
        if name in FAMILIES:
            properties[name] = {"enum": sorted(FAMILIES[name])}
        elif get_args(kind):
            properties[name] = {"enum": list(get_args(kind))}
        else:
            properties[name] = {"type": "string" if kind is str else "number"}
        properties[name]["default"] = getattr(defaults, name)
    properties["slab_mm"] |= {"minimum": 1, "maximum": 50}
    properties["cluster"] = {"type": "object", "description": "Where scans run: how-to, clusters"}
    properties["method_settings"] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            name: {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    key: {"default": value} for key, value in asdict(row.settings()).items()
                },
            }
            for methods in FAMILIES.values()
            for name, row in sorted(methods.items())
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Petechia settings",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }
