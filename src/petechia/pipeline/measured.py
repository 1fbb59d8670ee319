"""What each row of the METHODS tables costs and how far it is off, as measured.

`measured.toml` lies beside this module and is written by commands only: `speed` by
`benchmarks/bench_methods.py --measured`, `accuracy` by `validation/imaging.py --measured` and
`validation/susceptibility.py --measured`.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

NOT_MEASURED = "not measured"


@cache
def measurements() -> dict[str, Any]:
    """Return `speed` and `accuracy`: `about`, and `rows` by name."""
    text = files("petechia.pipeline").joinpath("measured.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def cost_of(name: str) -> str:
    """Return the time of a row in round trips of a Fourier transform, in words."""
    row = measurements().get("speed", {}).get("rows", {}).get(name)
    return f"{row['ratio']:.3g} transforms" if row else NOT_MEASURED


def error_of(name: str) -> str:
    """Return the error of a row in words."""
    row = measurements().get("accuracy", {}).get("rows", {}).get(name)
    if not row:
        return NOT_MEASURED
    if "nrmse" in row:
        moment = f", blood's moment {row['blood']:.2f}" if "blood" in row else ""
        return f"NRMSE {row['nrmse']:.0f} %{moment}"
    if "precision" in row:
        return f"precision {row['precision']:.2f} for veins"
    if "veins" in row:
        return f"contrast of bleeds {row['bleeds']:.1f}, of veins {row['veins']:.1f}"
    if "positive" in row:
        return f"NRMSE {row['positive']:.0f} and {row['negative']:.0f} %"
    return f"rmse {row['rmse']:.1f} 1/s"


def about() -> list[str]:
    """Return what the figures are of, a line each."""
    return [f"{kind}: {part['about']}" for kind, part in measurements().items()]


def renew(path: Path, kind: str, about: str, rows: Mapping[str, Mapping[str, float]]) -> None:
    """Write measurements of one kind into the file; rows not measured now are kept."""
    known: dict[str, Any] = {}
    if path.exists():
        known = tomllib.loads(path.read_text(encoding="utf-8"))
    part = known.setdefault(kind, {"about": about, "rows": {}})
    part["about"] = about
    part["rows"] |= {name: dict(row) for name, row in rows.items()}
    lines = ["# written by commands of benchmarks/ and validation/, not by hand"]
    for name in sorted(known):
        lines += ["", f"[{name}]", f'about = "{known[name]["about"]}"', "", f"[{name}.rows]"]
        for row, values in sorted(known[name]["rows"].items()):
            cells = ", ".join(f"{column} = {value:g}" for column, value in values.items())
            lines.append(f'"{row}" = {{ {cells} }}')
    fresh = path.with_name(path.name + ".part")
    fresh.write_text("\n".join(lines) + "\n", encoding="utf-8")
    fresh.replace(path)
