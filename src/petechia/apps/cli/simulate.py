"""`petechia simulate`: a BIDS dataset of simulated patients with their truth."""

import argparse
import sys
from pathlib import Path

from petechia.apps.cli.words import LIST, count, items, several

OTHERS = {
    "macrobleeds": "hematomas above 10 mm",
    "cavernomas": "cavernomas",
    "siderosis": "patches of superficial siderosis",
    "iron": "foci of iron in nuclei",
    "air-specks": "air cells in the skull base",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    add = parser.add_argument
    add("out", type=Path, help="folder of the dataset to write")
    add("--protocol", action=LIST, metavar="P", help="one or more; every person gets each")
    add("--n-subjects", type=count, default=1, metavar="N", help="people (1)")
    add("--seed", type=int, default=0, metavar="N", help="same seed, same dataset (0)")
    add("--microbleeds", type=int, metavar="N", help="of each person (drawn as patients have)")
    add("--calcifications", type=int, default=5, metavar="N", help="of each person (5)")
    add("--pattern", default="mixed", help="mixed, lobar or deep (mixed)")
    add("--varied", action="store_true", help="draw what each person has, rarer things too")
    add("--pairs", action="store_true", help="everyone comes twice: ses-1, and ses-2 with new ones")
    add("--new", type=int, metavar="N", help="new microbleeds in ses-2 (drawn)")
    add("--grown", type=float, metavar="PART", help="part of the microbleeds grown in ses-2 (0.15)")
    later = "of ses-2, where they are others (those of ses-1)"
    add("--later-protocol", action=LIST, metavar="P", help=later)
    add("--age", type=float, metavar="YEARS", help="of everyone (drawn as patients are)")
    add(
        "--clustered", type=float, default=0.0, metavar="PART", help="microbleeds beside others (0)"
    )
    add(
        "--elongated", type=float, default=0.0, metavar="PART", help="microbleeds that are rows (0)"
    )
    for word, what in OTHERS.items():
        add(f"--{word}", type=int, default=0, metavar="N", help=f"{what} (0)")
    add("--stage", help="of hemoglobin in hematomas, as 'late subacute' (drawn)")
    add("--snr", type=float, help="signal to noise in place of the protocol's")
    units = ["rad", "siemens", "philips", "ge"]
    add("--phase-units", choices=units, default="rad", help="a vendor's whole numbers (rad)")
    add("--dicom", choices=["classic", "enhanced"], help="also as DICOM, in sourcedata")
    vendors = ["siemens", "ge", "philips"]
    add("--vendor", choices=vendors, default="siemens", help="whose DICOM (siemens)")
    add("--keep-heads", type=int, default=1, metavar="N", help="kept in memory for more scans (1)")
    add("--companions", action=LIST, metavar="C", help="also T1w, T2w, FLAIR of every session")
    add("--companion-slices", type=float, metavar="MM", help="slices of T2w and FLAIR (1 mm)")
    add("--n-threads", type=count, metavar="N", help="threads (all cores)")


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 1


def run(args: argparse.Namespace) -> int:
    """Simulate and write."""
    from petechia.apps.cli.outcomes import progress
    from petechia.apps.cli.run import cores
    from petechia.files.dicom.write import DicomStyle
    from petechia.pipeline.provenance import threads
    from petechia.pipeline.simulated import SecondVisit, simulate_dataset
    from petechia.pipeline.simulated_companions import Companions
    from petechia.simulate.patient import SimulationParams

    params = SimulationParams(
        n_microbleeds=args.microbleeds,
        n_calcifications=args.calcifications,
        pattern=args.pattern,
        snr=args.snr,
        age_years=args.age,
        clustered=args.clustered,
        elongated=args.elongated,
        n_macrobleeds=args.macrobleeds,
        n_cavernomas=args.cavernomas,
        n_siderosis=args.siderosis,
        n_iron=args.iron,
        n_air_specks=args.air_specks,
        stage=args.stage,
    )
    second = None
    asked = {"n_new": args.new, "grown": args.grown}
    told = {word: value for word, value in asked.items() if value is not None}
    later = tuple(items(args.later_protocol))
    if not args.pairs and (told or later):
        print("note: everyone comes twice, as with --pairs", file=sys.stderr)
    if args.pairs or told or later:
        second = SecondVisit(protocols=later, **told)
    dicom = None
    if args.dicom:
        dicom = DicomStyle(form=args.dicom, vendor=args.vendor, alternating=args.vendor == "ge")
    kinds = tuple(items(args.companions))
    beside = Companions(kinds=kinds, slice_mm=args.companion_slices) if kinds else None
    with threads(args.n_threads or cores()), progress(1) as tell:
        written = simulate_dataset(
            args.out,
            params,
            protocols=items(args.protocol),
            n_subjects=args.n_subjects,
            seed=args.seed,
            phase_units=args.phase_units,
            second=second,
            varied=args.varied,
            dicom=dicom,
            keep_heads=args.keep_heads,
            companions=beside,
            tell=lambda prefix: tell(prefix, "simulating"),
        )
    truth = args.out / "derivatives" / "truth"
    print(f"{several(len(written), 'scan')} in {args.out}; truth in {truth}")
    return 0
