"""`petechia methods`: the rows of every METHODS table."""

import argparse
import json

from petechia.errors import ParameterError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    parser.add_argument("family", nargs="?", help="unwrap, background, inversion, ...; all if left")
    parser.add_argument("--json", action="store_true", help="with settings, for programs")
    parser.add_argument("--schema", action="store_true", help="JSON Schema of a settings file")


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 0


def run(args: argparse.Namespace) -> int:
    """Print the tables."""
    from dataclasses import asdict

    from petechia.core.methods import choose
    from petechia.lesions.candidates import METHODS as CANDIDATES
    from petechia.pipeline.engines import METHODS as ENGINES
    from petechia.pipeline.measured import NOT_MEASURED, about, cost_of, error_of
    from petechia.pipeline.settings import ALONE, FAMILIES, schema

    if args.schema:
        if args.family:
            raise ParameterError(
                f"--schema with {args.family}",
                where="petechia methods",
                mend="A settings file has one schema, with the methods of all families: leave the "
                f"family out; or `petechia methods {args.family} --json` for its settings.",
            )
        print(json.dumps(schema(), indent=2))
        return 0
    families = {**FAMILIES, **ALONE, "candidates": CANDIDATES, "engines": ENGINES}
    if args.family:
        choose(families, args.family, "methods")  # type: ignore[arg-type]
        families = {args.family: families[args.family]}
    if args.json:
        table = {
            family: {
                name: {
                    **asdict(row),
                    "settings": asdict(row.settings()),
                    "cost": cost_of(name),
                    "error": error_of(name),
                }
                for name, row in rows.items()
            }
            for family, rows in families.items()
        }
        print(json.dumps(table, indent=2))
        return 0
    for family, rows in families.items():
        print(family)
        for name, row in rows.items():
            print(f"  {name:18}{row.summary}" + (f"  doi:{row.doi}" if row.doi else ""))
            cost, error = cost_of(name), error_of(name)
            both = NOT_MEASURED if cost == error == NOT_MEASURED else f"{cost}; {error}"
            print(f"  {'':18}{both}")
    print("\n" + "\n".join(about()))
    return 0
