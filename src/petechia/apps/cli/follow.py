"""`petechia follow`: sessions of one person compared, lesion by lesion."""

import argparse
from pathlib import Path

from petechia.apps.cli.words import LIST, count, items, several


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    add = parser.add_argument
    add("output", type=Path, help="output folder of `petechia run`, with several sessions")
    add("--subject", action=LIST, metavar="L", help="only these (everyone with several sessions)")
    add("--images", type=Path, metavar="INPUT", help="input of that run: magnitudes, and dates")
    add("--language", choices=("en", "zh"), default="en", help="of the pages (en)")
    add("--force", action="store_true", help="compare again what has not changed")
    add("--n-threads", type=count, metavar="N", help="threads (all cores)")


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 1


def run(args: argparse.Namespace) -> int:
    """Compare; say what became of each person."""
    from petechia.apps.cli.run import cores
    from petechia.pipeline.follow import FollowOutcome, follow_all
    from petechia.pipeline.provenance import threads
    from petechia.pipeline.tree import finish_tree

    def tell(outcome: FollowOutcome) -> None:
        print(f"{outcome.subject}: {outcome.status}: {outcome.says}", flush=True)

    with threads(args.n_threads or cores()):
        outcomes = follow_all(
            args.output,
            subjects=items(args.subject),
            images=args.images,
            language=args.language,
            force=args.force,
            tell=tell,
        )
    finish_tree(args.output)
    failed = sum(outcome.status == "failed" for outcome in outcomes)
    done = several(len(outcomes) - failed, "person", "people")
    print(f"{done} done, {failed} failed. Research use only.")
    return 3 if failed else 0
