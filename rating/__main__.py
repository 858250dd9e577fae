"""``python -m rating table`` rates what the store holds, ``python -m rating grade FILE`` anyone's measurements."""

from __future__ import annotations

import argparse
import locale
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

from rating.errors import FileRefused, RatingError
from rating.export import csv_bytes
from rating.grade import grade_file, scheme_of_basket, scheme_of_file
from rating.model import Rating
from rating.rate import DRAWS, SEED
from rating.show import json_text, print_table


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit code: 0, 2 for wrong usage or input, 3 for an unfit environment."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a Windows pipe would not take Chinese
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    options = _parser().parse_args(arguments)
    language = options.lang or _system_language()
    try:
        return int(options.run(options, language))
    except RatingError as error:
        print(error.text(language), file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rating", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    grade = commands.add_parser("grade", help="rate measurements in a file", description=_GRADE_HELP)
    grade.add_argument("file", type=Path, metavar="FILE", help="CSV, TSV, Parquet or JSON lines")
    choice = grade.add_mutually_exclusive_group()
    choice.add_argument("--basket", metavar="a,b,c", help="reference models; without, the file's own configurations")
    choice.add_argument("--scheme", type=Path, metavar="FILE", help="a scheme as JSON or TOML")
    grade.add_argument("--min-items", type=int, metavar="N", help="fewest items behind a letter (30)")
    grade.add_argument("--draws", type=int, default=DRAWS, metavar="N", help="bootstrap draws (2000, at least 100)")
    grade.add_argument("--seed", type=int, default=SEED, metavar="N", help="seed of the bootstrap (0)")
    grade.set_defaults(run=_grade)
    for command in (grade,):
        command.add_argument("--json", action="store_true", help="print JSON instead of a table")
        command.add_argument("--csv", type=Path, metavar="OUT", help="also write the table as CSV")
        command.add_argument("--lang", choices=("en", "zh"), help="language of messages; default from the locale")
    return parser


_GRADE_HELP = (
    "One row per measured answer. Required columns: model, task, item, energy_j, and quality (0 to 1) or passed. "
    "Optional: repeat, load, language, cohort, energy_tier, energy_scope, cpu_energy_j, gpu_energy_j, duration_s."
)


def _grade(options: argparse.Namespace, language: str) -> int:
    scheme = scheme_of_file(options.scheme) if options.scheme else scheme_of_basket(_names(options.basket))
    ratings = grade_file(
        options.file, scheme, draws=options.draws, seed=options.seed, min_items=options.min_items
    )
    _publish(ratings, options, language)
    return 0


def _names(basket: str | None) -> list[str] | None:
    return None if basket is None else basket.split(",")


def _publish(ratings: Sequence[Rating], options: argparse.Namespace, language: str) -> None:
    """Writes the CSV where asked for, and prints. Files and JSON are English unless --lang says otherwise."""
    if options.csv:
        try:
            options.csv.write_bytes(csv_bytes([rating.as_row() for rating in ratings]))
        except OSError as error:
            raise FileRefused(
                f"{options.csv} cannot be written: {error.strerror}", f"无法写入 {options.csv}：{error.strerror}"
            ) from error
    if options.json:
        print(json_text([rating.as_row(options.lang or "en") for rating in ratings]))
    else:
        print_table([rating.as_row(language) for rating in ratings], language)


def _system_language() -> str:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name)
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "zh" if (locale.getlocale()[0] or "").lower().startswith(("zh", "chinese")) else "en"


if __name__ == "__main__":
    sys.exit(main())
