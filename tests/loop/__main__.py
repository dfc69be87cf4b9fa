"""`make loop LABELS=DIR`: from labelled documents to a tuned model, and whether it wins.

DIR has docs.jsonl (doc_id, title, text) and labels.jsonl (doc_id, best, acceptable). All that is
made, the database too, is in OUT. Needs what `make train-deps` installs: docs/loop.md.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import fields
from pathlib import Path

import django

ROOT = Path(__file__).resolve().parents[2]


def main(given: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="tests.loop", description=__doc__)
    add = parser.add_argument
    add("labels", type=Path, metavar="DIR")
    add("--out", type=Path, default=Path("var/loop"), help="A folder that is not there yet.")
    add("--base", choices=["shipped", "bare"], default="shipped", help="The adapter, or none.")
    add(
        "--folds",
        type=int,
        default=0,
        metavar="N",
        help="Train N times, each time without one reviewer's documents, and measure on those; "
        "0: train once on the train split, and measure on the rest.",
    )
    add("--plans", nargs="+", default=["composed", "greedy-and-samples"], metavar="PLAN")
    add("--limit", type=int, metavar="N", help="Only the first N documents.")
    add("--keep", action="store_true", help="Train once more on all picks: the one to ship.")
    add("--sft-epochs", type=float, default=1)
    add("--epochs", type=float, default=2)
    add("--rate", type=float, default=1e-4)
    add("--rank", type=int, default=8, help="Of a new adapter: with --base bare.")
    add("--beta", type=float, default=0.1)
    add("--sft-weight", type=float, default=1)
    add("--seed", type=int, default=0)
    add("--threads", type=int, default=0, help="Of the training; 0: as many as there are cores.")
    options = parser.parse_args(given)
    if options.out.exists():
        parser.error(f"{options.out} is there already: delete it, or name another folder.")
    if options.folds == 1:
        parser.error("of one fold nothing is left to train on")
    var = options.out.resolve() / "var"
    var.mkdir(parents=True)
    # The base model as transformers reads it takes half a minute to make, and 540 MB.
    made = Path(os.environ.get("TAGGER_VAR", ROOT / "var")).resolve() / "training"
    if made.is_dir():
        (var / "training").symlink_to(made)
    # Before the settings are read: nothing of this machine's Tagger is used or changed.
    for name in ("DATABASE_URL", "REDIS_URL", "OPENAI_BASE_URL", "OPENAI_API_KEY"):
        os.environ.pop(name, None)
    os.environ["TAGGER_VAR"] = str(var)
    os.environ["DJANGO_SETTINGS_MODULE"] = "tagger_site.settings"
    django.setup()

    from .chain import Wanted, loop

    names = {field.name for field in fields(Wanted)}
    loop(Wanted(**{name: value for name, value in vars(options).items() if name in names}))


if __name__ == "__main__":
    main(sys.argv[1:])
