"""Tables of a cohort: rows, what their columns mean, and writing them as TSV and Parquet."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from petechia.cohort.estimates import Estimate
from petechia.errors import DependencyError, InputError, OutputError, ParameterError
from petechia.files.writing import output_error, write_json, write_table

TEXT, NUMBER, WHOLE = "VARCHAR", "DOUBLE", "BIGINT"


@dataclass(slots=True, eq=False)
class Table:
    """One table.

    Attributes
    ----------
    name, title : str
        Of the file, and for people.
    columns : dict of str to str
        Name to meaning, in order.
    rows : list of dict
    """

    name: str
    title: str
    columns: dict[str, str]
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, **cells: Any) -> None:
        """Add a row; every cell must be a column.

        Raises
        ------
        KeyError
            A cell that is no column: a fault of the program.
        """
        strange = [name for name in cells if name not in self.columns]
        if strange:
            raise KeyError(f"{self.name}: {strange}")
        self.rows.append(cells)

    def types(self) -> dict[str, str]:
        """Return the SQL type of each column: number when every value is one."""
        out = {}
        for name in self.columns:
            values = [row.get(name) for row in self.rows]
            told = [v for v in values if v is not None and v != ""]
            if told and all(isinstance(v, bool | int) for v in told):
                out[name] = WHOLE
            elif told and all(isinstance(v, float | int) for v in told):
                out[name] = NUMBER
            else:
                out[name] = TEXT
        return out


def spread(name: str, told: Estimate, digits: int = 6) -> dict[str, Any]:
    """Return an estimate as three cells: `name`, `name_low`, `name_high`."""
    return {
        name: tidy(told.value, digits),
        f"{name}_low": tidy(told.low, digits),
        f"{name}_high": tidy(told.high, digits),
    }


def tidy(value: float, digits: int = 6) -> float | None:
    """Return a number with its stated significant digits; None when it is none.

    The same table on every machine: the last bits of a model differ between processors.
    """
    if value is None or math.isnan(value):
        return None
    return value if math.isinf(value) else float(f"{value:.{digits}g}")


def interval_columns(name: str, meaning: str) -> dict[str, str]:
    """Return the columns that `spread` fills."""
    return {name: meaning, f"{name}_low": "lower end of its interval",
            f"{name}_high": "upper end of its interval"}  # fmt: skip


def write_tables(folder: Path, tables: Iterable[Table]) -> tuple[list[str], str]:
    """Write every table as TSV and, with duckdb, as Parquet; return names and a note.

    `tables.json` says what each column means. A cell that is not known is n/a in TSV and NULL
    in Parquet.
    """
    listed = list(tables)
    for table in listed:
        write_table(folder / f"{table.name}.tsv", _cells(table), tuple(table.columns))
    described = {
        t.name: {"title": t.title, "rows": len(t.rows), "columns": t.columns} for t in listed
    }
    write_json(folder / "tables.json", described)
    names = [f"{t.name}.tsv" for t in listed] + ["tables.json"]
    try:
        import duckdb  # noqa: F401
    except ImportError:
        return (
            names,
            "Parquet was not written: it needs petechia[cohort]. The TSV files say the same.",
        )
    with connection() as db:
        for table in listed:
            _parquet(db, folder, table)
    return names + [f"{t.name}.parquet" for t in listed], ""


def _cells(table: Table) -> Iterable[Mapping[str, Any]]:
    for row in table.rows:
        yield {
            name: "inf" if value == math.inf else "-inf" if value == -math.inf else value
            for name, value in row.items()
        }


def _parquet(db: Any, folder: Path, table: Table) -> None:
    final = folder / f"{table.name}.parquet"
    part = folder / f".{table.name}.part"
    types = table.types()
    source = _csv(folder / f"{table.name}.tsv", types)
    try:
        db.execute(f"COPY (SELECT * FROM {source}) TO {_quoted(str(part))} (FORMAT parquet)")
        part.replace(final)
    except OSError as error:
        raise output_error(error, final) from error
    except Exception as error:
        raise OutputError(
            f"cannot be written ({str(error).splitlines()[0]})",
            where=str(final),
            mend="Check the folder, and run again; the TSV beside it is whole.",
        ) from error
    finally:
        part.unlink(missing_ok=True)


def connection() -> Any:
    """Return a database in memory: one thread, so that files are the same bytes every time."""
    try:
        import duckdb
    except ImportError as error:
        raise DependencyError(
            "duckdb is not installed", where="--sql", mend="pip install petechia[cohort]"
        ) from error
    return duckdb.connect(":memory:", config={"threads": "1"})


def _csv(path: Path, types: Mapping[str, str]) -> str:
    columns = ", ".join(f"{_quoted(name)}: {_quoted(kind)}" for name, kind in types.items())
    return (
        f"read_csv({_quoted(str(path))}, delim='\t', header=true, quote='', escape='', "
        f"nullstr='n/a', auto_detect=false, columns={{{columns}}})"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def query(
    folder: Path, tables: Sequence[Table], sql: str
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return columns and rows of a query over the tables; it reaches no file and no network.

    Raises
    ------
    DependencyError
        Without duckdb.
    ParameterError
        The query is wrong, or more than one statement.
    """
    with connection() as db:
        for table in tables:
            name = '"' + table.name + '"'
            source = _csv(folder / f"{table.name}.tsv", table.types())
            db.execute(f"CREATE TABLE {name} AS SELECT * FROM {source}")
        db.execute("SET enable_external_access = false")
        db.execute("SET lock_configuration = true")
        try:
            statements = db.extract_statements(sql)
            if len(statements) != 1:
                raise ParameterError(
                    f"{len(statements)} statements", where="--sql", mend="Give one select."
                )
            found = db.execute(statements[0])
            names = [column[0] for column in found.description or ()]
            return names, list(found.fetchall())
        except InputError:
            raise
        except Exception as error:
            told = " ".join(str(error).split())[:300]
            raise ParameterError(
                told,
                where="--sql",
                mend=f"Tables: {', '.join(t.name for t in tables)}; columns in tables.json.",
            ) from error
