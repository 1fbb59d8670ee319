"""Evaluate a tool: pair scans, compare them, gather every measure, write tables and page."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from petechia import __version__
from petechia.errors import InputError, ParameterError
from petechia.evaluate.agreement import count_agreement
from petechia.evaluate.calibration import calibration
from petechia.evaluate.detection import (
    MAIN_RULE,
    RULES,
    Outcome,
    macro,
    outcomes,
    pooled,
    subjects_of,
    tallies_of,
)
from petechia.evaluate.froc import AREA_UP_TO, froc
from petechia.evaluate.measurement import (
    Measured,
    diameter_agreement,
    diameter_errors,
    measured_pairs,
    moment_agreement,
    moment_errors,
)
from petechia.evaluate.naming import SURE, blood_or_calcium, confusion
from petechia.evaluate.resampling import Resampling
from petechia.evaluate.spots import MICROBLEED, Case
from petechia.evaluate.strata import strata_of
from petechia.evaluate.valdo import ValdoParams, valdo_summary
from petechia.files import writing
from petechia.files.contract import contract
from petechia.pipeline.evaluation_files import Pairing, pair_up
from petechia.pipeline.evaluation_scan import ReadScan, empty_scan, read_scan
from petechia.pipeline.tree import ignore_written
from petechia.report.evaluation import render_evaluation

JSON, PAGE = "evaluation.json", "evaluation.html"
FINDING = (
    "scan", "finding", "verdict", "x_mm", "y_mm", "z_mm", "class", "probability", "on_true_class",
    "vein_fraction",
)  # fmt: skip
LESION = ("scan", "x_mm", "y_mm", "z_mm", "moment_ppm_mm3", "diameter_mm", "site", "compartment")
"""Columns of `findings.tsv` and the first ones of `lesions.tsv`, which may have no rows."""
TABLES = ("scans.tsv", "lesions.tsv", "findings.tsv", "strata.tsv", "froc.tsv", "maps.tsv")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationOptions:
    """How to evaluate.

    Attributes
    ----------
    threshold : float or None
        Count findings from this probability on; None counts as the tool does.
    forgiven : tuple of str
        True classes that may be found without being false.
    missing : str
        What becomes of truth without a result: 'skip' or 'empty' (nothing was found).
    predicted_pattern, truth_pattern : str or None
        Which files of a folder to take.
    n_resamples, seed : int
        Of the bootstrap.
    valdo : ValdoParams
        Open parameters of the challenge's rules.
    """

    threshold: float | None = None
    forgiven: tuple[str, ...] = ()
    missing: str = "skip"
    predicted_pattern: str | None = None
    truth_pattern: str | None = None
    n_resamples: int = 2000
    seed: int = 0
    valdo: ValdoParams = field(default_factory=ValdoParams)

    def __post_init__(self) -> None:
        if self.missing not in ("skip", "empty"):
            raise ParameterError(
                f"missing = {self.missing!r}", where="evaluate", mend="Choose 'skip' or 'empty'."
            )
        if self.threshold is not None and not 0 < self.threshold <= 1:
            raise ParameterError(
                f"threshold = {self.threshold}",
                where="evaluate",
                mend="Give a probability above 0 and at most 1.",
            )
        if self.n_resamples < 1 or self.seed < 0:
            raise ParameterError(
                f"{self.n_resamples} draws, seed {self.seed}",
                where="evaluate",
                mend="Give 1 draw or more and a seed of 0 or more.",
            )
        known = contract().words["class"]
        if unknown := [word for word in self.forgiven if word not in known]:
            raise ParameterError(
                f"no class {', '.join(unknown)}",
                where="--forgive",
                mend=f"Choose from {', '.join(known)}.",
            )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Evaluation:
    """What came out.

    Attributes
    ----------
    result : dict
        Everything, as in the JSON file.
    tables : dict of str to list of dict
        Rows by file name.
    """

    result: dict[str, Any]
    tables: dict[str, list[dict[str, Any]]]


def evaluate(
    predicted: Path,
    truth: Path,
    options: EvaluationOptions | None = None,
    *,
    tell: Callable[[str], None] = lambda _: None,
) -> Evaluation:
    """Compare a tool's results with the truth.

    Parameters
    ----------
    predicted, truth : Path
        See `evaluation_files.pair_up`.
    options : EvaluationOptions, optional
    tell : callable
        Told the name of each scan as it is read.

    Raises
    ------
    InputError
        No scan of one side belongs to one of the other, or nothing can be compared.
    """
    chosen = options or EvaluationOptions()
    pairing = pair_up(
        predicted,
        truth,
        predicted_pattern=chosen.predicted_pattern,
        truth_pattern=chosen.truth_pattern,
    )
    if not pairing.pairs:
        raise InputError(
            f"no scan has a partner: {_few(pairing.predicted_alone)} against "
            f"{_few(pairing.truth_alone)}",
            where="evaluate",
            mend="Names must begin alike (sub-01_acq-swi); or use the pattern options, or give two "
            "files.",
        )
    scans = _read(pairing, chosen, tell)
    result: dict[str, Any] = {
        "version": __version__,
        "predicted": predicted.name,
        "truth": truth.name,
        "options": asdict(chosen),
        "n_scans": len(scans),
        "scans_without_result": [side.key for side in pairing.truth_alone],
        "results_without_truth": [side.key for side in pairing.predicted_alone],
        "notes": _notes(scans),
        "rules": RULES,
        "main_rule": MAIN_RULE,
    }
    tables: dict[str, list[dict[str, Any]]] = {}
    judged = [scan for scan in scans if scan.case is not None]
    if judged:
        _add_detection(judged, pairing, chosen, result, tables)
    _add_maps(scans, result, tables)
    if not judged and "maps" not in result:
        raise InputError(
            "nothing to compare: neither lesions nor maps on both sides",
            where="evaluate",
            mend="Give findings, or maps named <prefix>_Chimap.nii.gz and a true map.",
        )
    return Evaluation(result=result, tables=tables)


def _few(sides: Sequence[Any]) -> str:
    names = [side.key for side in sides]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _read(
    pairing: Pairing, options: EvaluationOptions, tell: Callable[[str], None]
) -> list[ReadScan]:
    scans = []
    for ours, theirs in pairing.pairs:
        tell(theirs.key)
        scans.append(read_scan(ours, theirs, threshold=options.threshold, valdo=options.valdo))
    if options.missing == "empty":
        scans += [empty_scan(side) for side in pairing.truth_alone if side.has_lesions]
    return scans


def _notes(scans: Sequence[ReadScan]) -> list[str]:
    """Return each note once, with how many scans it is about."""
    every = Counter(note for scan in scans for note in scan.notes)
    return [
        note if n == len(scans) else f"{note} ({n} {'scan' if n == 1 else 'scans'})"
        for note, n in every.items()
    ]


def _add_detection(
    scans: Sequence[ReadScan],
    pairing: Pairing,
    options: EvaluationOptions,
    result: dict[str, Any],
    tables: dict[str, list[dict[str, Any]]],
) -> None:
    cases = [scan.case for scan in scans if scan.case is not None]
    group = subjects_of(cases)
    rng = np.random.default_rng(options.seed)
    draws = Resampling.of(group, rng, options.n_resamples)
    asked = [rule for rule in RULES if rule != "touch" or _can_touch(cases)]
    scored = {rule: outcomes(cases, rule=rule, forgiven=options.forgiven) for rule in asked}
    main = scored[MAIN_RULE]
    result["n_subjects"] = int(group.max()) + 1
    result["n_lesions"] = int(sum(len(o.lesion) for o in main))
    result["n_clean_scans"] = sum(len(o.lesion) == 0 for o in main)
    result["detection"] = {
        rule: {"pooled": pooled(tallies, draws), "macro": macro(tallies, draws)}
        for rule, tallies in ((r, tallies_of(o)) for r, o in scored.items())
    }
    strata = strata_of(cases, main, draws)
    curve = froc(cases, draws, forgiven=options.forgiven)
    result["strata"] = strata
    result["froc"] = None if curve is None else {"area_up_to": AREA_UP_TO, **asdict(curve)}
    result["counts"] = count_agreement(cases)
    result["confusion"] = confusion(cases)
    result["blood_or_calcium"] = {
        "all": blood_or_calcium(cases),
        "sure": blood_or_calcium(cases, least_ratio=SURE),
    }
    result["calibration"] = calibration(cases, draws, forgiven=options.forgiven)
    measured = measured_pairs(cases)
    result["measurement"] = _measurement(measured)
    missing = len(pairing.truth_alone) if options.missing == "empty" else 0
    scores = [scan.valdo for scan in scans if scan.valdo is not None]
    result["valdo"] = (
        {
            "n_scans": len(scores),
            "n_missing": missing,
            "median_q1_q3": valdo_summary(scores, missing),
        }
        if scores
        else None
    )
    tables["scans.tsv"] = [_scan_row(s, n, scored) for n, s in enumerate(scans)]
    tables["lesions.tsv"] = [
        row for n, scan in enumerate(scans) for row in _lesion_rows(scan, n, scored)
    ]
    tables["findings.tsv"] = [
        row for scan, o in zip(scans, main, strict=True) for row in _finding_rows(scan, o)
    ]
    tables["strata.tsv"] = [_stratum_row(stratum) for stratum in strata]
    if curve is not None:
        points = zip(curve.threshold, curve.false_per_scan, curve.sensitivity, strict=True)
        tables["froc.tsv"] = [
            {"threshold": t, "false_per_scan": f, "sensitivity": s} for t, f, s in points
        ]


def _can_touch(cases: Sequence[Case]) -> bool:
    return all(c.truth.extent is not None and c.predicted.extent is not None for c in cases)


def _measurement(measured: Measured) -> dict[str, Any]:
    return {
        "n": len(measured),
        "moment": moment_errors(measured),
        "moment_agreement": moment_agreement(measured),
        "diameter": diameter_errors(measured),
        "diameter_agreement": diameter_agreement(measured),
        "pairs": {
            name: getattr(measured, name)
            for name in ("scan", "kind", "true_moment", "moment", "moment_se",
                         "true_diameter_mm", "diameter_mm")
        },
    }  # fmt: skip


def _scan_row(scan: ReadScan, n: int, scored: dict[str, list[Outcome]]) -> dict[str, Any]:
    case = scan.case
    if case is None:
        raise RuntimeError("a scan without lesions has no row")
    row: dict[str, Any] = {
        "scan": scan.name,
        "subject": case.subject,
        "slice_mm": case.slice_mm,
        "true_visible": len(scored[MAIN_RULE][n].lesion),
        "counted": int(case.predicted.counted.sum()),
    }
    for rule, outcome in scored.items():
        row[f"found_{rule}"] = int(outcome[n].hit.sum())
        row[f"false_{rule}"] = int(outcome[n].false.sum())
    for name in ("f1", "dice", "count_difference", "volume_difference_mm3"):
        row[f"valdo_{name}"] = getattr(scan.valdo, name, float("nan"))
    return row


def _lesion_rows(scan: ReadScan, n: int, scored: dict[str, list[Outcome]]) -> list[dict[str, Any]]:
    """Return a row for each visible true microbleed: was it found, and as what."""
    case, main = scan.case, scored[MAIN_RULE][n]
    if case is None:
        return []
    met = dict(main.pairs.tolist())
    rows = []
    for at, lesion in enumerate(main.lesion.tolist()):
        x, y, z = case.truth.place_mm[lesion].tolist()
        found = met.get(lesion)
        row: dict[str, Any] = {
            "scan": scan.name, "x_mm": x, "y_mm": y, "z_mm": z,
            "moment_ppm_mm3": float(case.truth.moment[lesion]),
            "diameter_mm": float(case.truth.diameter_mm[lesion]),
            "site": str(case.truth.site[lesion]),
            "compartment": str(case.truth.compartment[lesion]),
        }  # fmt: skip
        row |= {f"found_{rule}": int(o[n].hit[at]) for rule, o in scored.items()}
        row["finding"] = "n/a" if found is None else scan.finding_index[found]
        row["probability"] = None if found is None else float(case.predicted.probability[found])
        rows.append(row)
    return rows


def _finding_rows(scan: ReadScan, outcome: Outcome) -> list[dict[str, Any]]:
    """Return a row for each finding that counts: right, false, or left out."""
    case = scan.case
    if case is None:
        return []
    rows = []
    for n in np.flatnonzero(outcome.counted).tolist():
        x, y, z = case.predicted.place_mm[n].tolist()
        verdict = "right" if outcome.good[n] else "false" if outcome.false[n] else "left out"
        rows.append(
            {
                "scan": scan.name, "finding": scan.finding_index[n], "verdict": verdict,
                "x_mm": x, "y_mm": y, "z_mm": z, "class": str(case.predicted.kind[n]),
                "probability": float(case.predicted.probability[n]),
                "on_true_class": _nearest_class(case, n),
                "vein_fraction": scan.vein_fraction[n] if scan.vein_fraction else None,
            }
        )  # fmt: skip
    return rows


def _nearest_class(case: Case, n: int) -> str:
    """Return the class of the true lesion within reach of a finding, the nearest one."""
    if not len(case.truth):
        return "none"
    apart = np.linalg.norm(case.truth.place_mm - case.predicted.place_mm[n], axis=1)
    at = int(apart.argmin())
    if apart[at] > case.radius_mm:
        return "none"
    kind = str(case.truth.kind[at])
    return kind if case.truth.visible[at] else f"invisible {kind or MICROBLEED}"


def _stratum_row(stratum: Any) -> dict[str, Any]:
    false = stratum.false_per_scan
    return {
        "by": stratum.by,
        "stratum": stratum.name,
        "found": stratum.found,
        "visible": stratum.lesions,
        "sensitivity": stratum.sensitivity.value,
        "sensitivity_low": stratum.sensitivity.low,
        "sensitivity_high": stratum.sensitivity.high,
        "false_per_scan": None if false is None else false.value,
    }


def _add_maps(
    scans: Sequence[ReadScan], result: dict[str, Any], tables: dict[str, list[dict[str, Any]]]
) -> None:
    """Add a row of map errors for each scan, and medians and ranges over scans."""
    rows = [_map_row(scan) for scan in scans]
    rows = [row for row in rows if len(row) > 1]
    if not rows:
        return
    columns = dict.fromkeys(name for row in rows for name in row if name != "scan")
    summary = {}
    for name in columns:
        values = np.array([row.get(name, np.nan) for row in rows], dtype=float)
        values = values[np.isfinite(values)]
        if len(values):
            summary[name] = {
                "median": float(np.median(values)),
                "least": float(values.min()),
                "most": float(values.max()),
                "n": len(values),
            }
    result["maps"] = summary
    tables["maps.tsv"] = [{"scan": row["scan"], **{c: row.get(c) for c in columns}} for row in rows]


def _map_row(scan: ReadScan) -> dict[str, Any]:
    maps = scan.maps
    row: dict[str, Any] = {"scan": scan.name}
    row |= {f"chi_{name}": value for name, value in (maps.chi or {}).items()}
    if maps.streaks is not None:
        row["chi_streaks_ppm"] = maps.streaks.sd_ppm
        row["chi_streaks_relative"] = maps.streaks.relative
        row["chi_streaks_against_elsewhere"] = maps.streaks.against_elsewhere
    if maps.nuclei:
        row["nuclei_slope"] = maps.nuclei_slope
        row |= {f"bias_ppm_{r.name.replace(' ', '_')}": r.bias for r in maps.nuclei}
    if maps.r2star is not None:
        row["r2star_bias_per_s"] = maps.r2star.bias
        row["r2star_median_relative"] = maps.r2star.median_relative
        row["r2star_rmse_per_s"] = maps.r2star.rmse
        row["r2star_slope"] = maps.r2star.slope
    if maps.brain is not None:
        row["mask_dice"] = maps.brain.dice
        row["mask_hausdorff95_mm"] = maps.brain.hausdorff95_mm
        row["mask_hausdorff_mm"] = maps.brain.hausdorff_mm
        row["mask_volume_ratio"] = maps.brain.volume_ratio
        row["mask_lesion_centres_inside"] = maps.brain.centres_inside
    return row


def write_evaluation(evaluation: Evaluation, out: Path) -> list[Path]:
    """Write the JSON, a TSV for each table, and the page; return their paths.

    Where nothing was counted, or nothing visible, the table has no rows.

    Tables that an earlier evaluation left there and this one does not have are taken away.
    In an output folder of `petechia run` all of it is added to its .bidsignore.
    """
    writing.make_folder(out)
    result = writing.plain(evaluation.result)
    written = [out / JSON]
    writing.write_json(out / JSON, result)
    for name in TABLES:
        path = out / name
        rows = evaluation.tables.get(name, [])
        if columns := list(rows[0]) if rows else _columns(name, result):
            writing.write_table(path, rows, columns)
            written.append(path)
        else:
            path.unlink(missing_ok=True)
    writing.write_text(out / PAGE, render_evaluation(result))
    written.append(out / PAGE)
    ignore_written(written)
    return written


def _columns(name: str, result: dict[str, Any]) -> list[str]:
    """Return the columns of a table of lesions or findings without rows; none of another's."""
    if "detection" not in result:
        return []
    rules = [f"found_{rule}" for rule in result["detection"]]
    known = {"findings.tsv": FINDING, "lesions.tsv": (*LESION, *rules, "finding", "probability")}
    return list(known.get(name, ()))
