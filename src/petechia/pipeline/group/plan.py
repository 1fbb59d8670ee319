"""What is asked of a cohort: the plan, from the command line or a TOML file."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from petechia.errors import FileError, ParameterError

OUTCOMES = {
    "presence": "any microbleed",
    "count": "number of microbleeds",
    "bin": "0, 1-4 or 5 and more",
    "lobar": "any lobar microbleed",
    "deep": "any deep or infratentorial microbleed",
    "category": "none, strictly lobar, strictly deep or infratentorial, mixed",
}
MODELS = {
    "logistic": ("presence", "lobar", "deep"),
    "firth": ("presence", "lobar", "deep"),
    "nb": ("count",),
    "poisson": ("count",),
    "zip": ("count",),
    "zinb": ("count",),
    "hurdle": ("count",),
    "hurdle-poisson": ("count",),
    "auto": ("count",),
    "ordinal": ("bin",),
    "multinomial": ("category",),
}
"""Models and the outcomes they are for."""
DEFAULT_MODEL = {
    "presence": "logistic", "lobar": "logistic", "deep": "logistic", "count": "nb",
    "bin": "ordinal", "category": "multinomial",
}  # fmt: skip
REPEATED = ("none", "gee", "mixed")
MISSING = ("complete", "impute")
SCAN = {
    "field": "b0_t",
    "sequence": "sequence",
    "thickness": "slice_thickness_mm",
    "te": "te_s",
    "site": "site",
    "operating_point": "operating_point",
}
"""Facts of the scan that models can be adjusted for, and their columns."""
LISTS = ("groups", "covariates", "adjust", "outcome", "acq")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is asked.

    Attributes
    ----------
    groups : tuple of str
        Factors to compare; empty: every one that the table has. `age>=65` and `age:10` make
        groups of a number.
    covariates : tuple of str or None
        Of the person, in every model; None: age and sex where they are known.
    adjust : tuple of str
        Of the scan, in every model: keys of `SCAN`.
    outcome : tuple of str
        Keys of `OUTCOMES`.
    by : str
        Bands that prevalence is told in: a column and a width.
    model : str
        A key of `MODELS`; empty: the usual one of each outcome.
    repeated : str
        'none': one scan of each person; 'gee' or 'mixed': all of them.
    cluster : str
        With `repeated`: the column whose groups come together, as site; empty: the person.
    missing : str
        'complete' or 'impute'.
    imputations, draws : int
        Completed tables; draws of counts.
    session : str
        Of several: 'first', 'last', or a label.
    acq : tuple of str
        Only scans of these acquisitions.
    compare : str
        An entity (acq) whose values are compared within people; empty: no comparison.
    event : str
        Column of two words by which sessions lie before or after something.
    smooth_mm : float
        Radius of the lesion map.
    level : float
        Of intervals.
    seed : int
        Of everything random.
    """

    groups: tuple[str, ...] = ()
    covariates: tuple[str, ...] | None = None
    adjust: tuple[str, ...] = ("field", "sequence", "thickness")
    outcome: tuple[str, ...] = ("presence", "count", "lobar", "deep")
    by: str = "age:10"
    model: str = ""
    repeated: str = "none"
    cluster: str = ""
    missing: str = "complete"
    imputations: int = 20
    draws: int = 20
    session: str = "first"
    acq: tuple[str, ...] = ()
    compare: str = ""
    event: str = "timepoint"
    smooth_mm: float = 6.0
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        _choose("outcome", self.outcome, OUTCOMES)
        _choose("adjust", self.adjust, SCAN)
        _choose("repeated", (self.repeated,), REPEATED)
        _choose("missing", (self.missing,), MISSING)
        if self.model:
            _choose("model", (self.model,), MODELS)
            if not set(MODELS[self.model]) & set(self.outcome):
                raise ParameterError(
                    f"model {self.model} with outcome {', '.join(self.outcome)}",
                    where="petechia group",
                    mend=f"It is for: {', '.join(MODELS[self.model])}.",
                )
        if self.cluster and self.repeated == "none":
            raise ParameterError(
                f"cluster {self.cluster} without repeated",
                where="petechia group",
                mend="Give --repeated gee or mixed with it.",
            )
        if not 0.5 <= self.level < 1:
            raise ParameterError(
                f"level {self.level}", where="petechia group", mend="Give 0.95, say."
            )
        for name in ("imputations", "draws"):
            if getattr(self, name) < 2:
                raise ParameterError(
                    f"{name} = {getattr(self, name)}",
                    where="petechia group",
                    mend="Give 2 or more.",
                )
        if not 0 < self.smooth_mm <= 50:
            raise ParameterError(
                f"smooth_mm = {self.smooth_mm}", where="petechia group", mend="Give 2 to 20 mm."
            )
        self.bands()

    def bands(self) -> tuple[str, float]:
        """Return the column and width of `by`; ('', 0) when it is empty."""
        if not self.by:
            return "", 0.0
        found = re.fullmatch(r"([A-Za-z_]\w*)(?::(\d+(?:\.\d+)?))?", self.by)
        if not found or (found[2] and float(found[2]) <= 0):
            raise ParameterError(
                f"by {self.by!r}", where="petechia group", mend="Give a column and a width: age:10."
            )
        return found[1], float(found[2] or 0)

    def model_of(self, outcome: str) -> str:
        """Return the model of an outcome."""
        fits = self.model and outcome in MODELS[self.model]
        return self.model if fits else DEFAULT_MODEL[outcome]

    def as_dict(self) -> dict[str, Any]:
        """Return the plan as plain values."""
        return asdict(self)


def _choose(name: str, given: tuple[str, ...], among: Any) -> None:
    for word in given:
        if word not in among:
            near = get_close_matches(word, list(among), n=1)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise ParameterError(
                f"{name} {word!r}", where="petechia group", mend=f"{hint}Known: {', '.join(among)}."
            )
    if not given and name == "outcome":
        raise ParameterError("no outcome", where="petechia group", mend="Give presence, say.")


def build_plan(config: Path | None, given: Mapping[str, Any]) -> Plan:
    """Return the plan of a TOML file, changed by what the command line gives (None: nothing).

    Raises
    ------
    FileError, ParameterError
        The file cannot be read; a name or value is not known.
    """
    told = _read(config) if config is not None else {}
    told |= {key: value for key, value in given.items() if value is not None}
    known = {f.name: f for f in fields(Plan)}
    for key, value in told.items():
        if key not in known:
            raise ParameterError(
                f"unknown setting {key!r}",
                where=config.name if config else "petechia group",
                mend=f"Known: {', '.join(known)}.",
            )
        told[key] = _typed(key, value, config.name if config else "petechia group")
    return Plan(**told)


def _read(config: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FileError(
            f"cannot be read ({error})", where=str(config), mend="Give a TOML file of settings."
        ) from error
    return dict(content.get("group", content))


def _typed(key: str, value: Any, where: str) -> Any:
    if key in LISTS:
        listed = [value] if isinstance(value, str) else value
        fine = isinstance(listed, list | tuple) and all(isinstance(v, str) for v in listed)
        value = tuple(listed) if fine else None
        value = () if value == ("none",) else value
    elif key in ("imputations", "draws", "seed"):
        value = value if isinstance(value, int) and not isinstance(value, bool) else None
        value = None if value is not None and value < 0 else value
    elif key in ("level", "smooth_mm"):
        value = float(value) if isinstance(value, int | float) else None
    elif not isinstance(value, str):
        value = None
    elif key == "by" and value == "none":
        value = ""
    if value is None:
        raise ParameterError(
            f"{key} has a value of another kind", where=where, mend="See docs/how-to/cohort.md."
        )
    return value
