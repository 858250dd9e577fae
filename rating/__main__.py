"""``python -m rating``: ``table`` rates a store, ``grade FILE`` anyone's measurements, ``stability`` varies quality's weights."""

from __future__ import annotations

import argparse
import json
import locale
import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final, NamedTuple

import db
from db import reader
from rating.answers import Selected, columns_of, measurements_of
from rating.errors import FileRefused, RatingError, SchemeError
from rating.export import csv_bytes
from rating.grade import grade_file, scheme_of_basket, scheme_of_file
from rating.history import current, from_stored, new_rows
from rating.model import Rating
from rating.rate import DRAWS, SEED, rate_with_schemes
from rating.scheme import Scheme, default_scheme, scheme_from_json, with_basket
from rating.show import json_text, print_stability, print_table
from rating.stability import SPREAD, WEIGHT_DRAWS, stability_by

_SILENT: Final = timedelta(hours=1)
"""A campaign that says it runs and gave no sign for so long has ended."""
_GRADE_HELP: Final = (
    "One row per measured answer. Required columns: model, task, item, energy_j, and quality (0 to 1) or passed. "
    "Optional: repeat, load, language, cohort, energy_tier, energy_scope, cpu_energy_j, gpu_energy_j, duration_s."
)
_TABLE_HELP: Final = (
    "Computes the ratings, stores what changed and prints them; a store that cannot be written is only read."
)
_STABILITY_HELP: Final = "Draws every weight of the quality's parts anew and tells how often configurations keep their order by mean quality."


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit code: 0, 2 for wrong usage or input, 3 for an unfit environment."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a Windows pipe would not take Chinese
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    options = _parser().parse_args(arguments)
    language = options.lang or _system_language()
    try:
        return int(options.run(options, language))
    except (RatingError, db.StoreError) as error:
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
    table = commands.add_parser("table", help="rate what the store holds", description=_TABLE_HELP)
    table.add_argument("--db", type=Path, metavar="PATH", help="database; default ENERGY_RATING_DB, else data/")
    table.add_argument("--scheme", metavar="NAME", help="only ratings under this scheme")
    table.add_argument("--task", metavar="T", help="only ratings of this task")
    table.set_defaults(run=_table)
    stability = commands.add_parser(
        "stability", help="the order by quality under other weights", description=_STABILITY_HELP
    )
    stability.add_argument("--db", type=Path, metavar="PATH", help="database; default ENERGY_RATING_DB, else data/")
    stability.set_defaults(run=_stability)
    for command in (grade, table, stability):
        command.add_argument("--json", action="store_true", help="print JSON instead of a table")
        if command is not stability:
            command.add_argument("--csv", type=Path, metavar="OUT", help="also write the table as CSV")
        command.add_argument("--lang", choices=("en", "zh"), help="language of messages; default from the locale")
    return parser


def _grade(options: argparse.Namespace, language: str) -> int:
    names = None if options.basket is None else options.basket.split(",")
    scheme = scheme_of_file(options.scheme) if options.scheme else scheme_of_basket(names)
    ratings = grade_file(options.file, scheme, draws=options.draws, seed=options.seed, min_items=options.min_items)
    _publish({name: [rating.as_row(name) for rating in ratings] for name in ("en", "zh")}, options, language)
    return 0


def _table(options: argparse.Namespace, language: str) -> int:
    store = db.Store(db.store_path(options.db))
    if store.path.exists() and store.path.stat().st_size:  # of a missing store the reading says what to do
        store.ensure()
    shelf = _Shelf(store)
    scheme = shelf.scheme(options.scheme)
    selected = measurements_of(columns_of(reader.answers_for_rating(store)), db.effect_of, scheme.min_items)
    ratings, schemes = shelf.rate(selected, scheme)
    stored = shelf.keep(ratings, schemes, selected)
    records = reader.ratings(store).to_dict("records") if stored else []
    tables: dict[str, list[dict[str, Any]]] = {}
    for name in ("en", "zh"):
        rows = from_stored(records, name) if stored else [rating.as_row(name) for rating in ratings]
        rows = current(rows) if options.scheme is None else [row for row in rows if row["scheme"] in schemes]
        tables[name] = [row for row in rows if options.task in (None, row["task"])]
    _publish(tables, options, language)
    return 0


def _stability(options: argparse.Namespace, language: str) -> int:
    stacks = reader.quality_stacks(db.Store(db.store_path(options.db)))
    found = stability_by(stacks.astype(object).where(stacks.notna(), None).itertuples(index=False, name=None))
    if options.json:
        drawn = {"draws": WEIGHT_DRAWS, "spread": SPREAD}
        print(
            json_text([{"cohort": cohort, "task": task} | drawn | asdict(one) for (cohort, task), one in found.items()])
        )
    else:
        print_stability(found, language)
    return 0


class _Campaign(NamedTuple):
    """A campaign: its state, its last sign of life (UTC without zone), its experiment file."""

    name: str
    status: str
    sign: datetime
    experiment: str


class _Shelf:
    """What the store knows besides the answers: schemes, declared baskets, campaigns, the newest ratings."""

    def __init__(self, store: db.Store) -> None:
        self._store = store
        with store.read() as con:
            schemes = con.execute("SELECT scheme, definition FROM schemes ORDER BY created_at, scheme").fetchall()
            campaigns = con.execute(
                "SELECT campaign_id, status, coalesce(heartbeat_at, started_at), experiment_toml FROM campaigns"
            ).fetchall()
            newest = con.execute("SELECT scheme, cohort, task, configuration, input_hash FROM v_ratings").fetchall()
        self._schemes = {str(name): scheme_from_json(json.loads(text)) for name, text in schemes}
        self._campaigns = [_Campaign(*row) for row in campaigns]
        self._newest = {(row[0], row[1], row[2], row[3]): row[4] for row in newest}

    def scheme(self, name: str | None) -> Scheme:
        """The scheme of that name, stored or built in; None is the built-in one.

        A built-in scheme that differs from the stored one of its name goes by another name: old letters stay true.
        """
        built_in = default_scheme()
        kept = self._schemes.get(built_in.name)
        if kept is not None and kept.hash != built_in.hash:
            built_in = replace(built_in, name=f"{built_in.name}.{built_in.hash[:8]}")
        known = {built_in.name: built_in} | self._schemes
        if name is not None and name not in known:
            raise SchemeError(
                f"there is no scheme {name!r}; known are {', '.join(sorted(known))}",
                f"没有方案 {name!r}；可用方案：{'、'.join(sorted(known))}",
            )
        return known[name] if name else built_in

    def rate(self, selected: Selected, scheme: Scheme) -> tuple[list[Rating], dict[str, Scheme]]:
        """Ratings under the scheme, with its frozen own baskets, and under the baskets that experiments declare."""
        frozen = tuple(
            basket
            for name, kept in self._schemes.items()
            if name.startswith(f"{scheme.name}+own-")
            for basket in kept.baskets
        )
        found = rate_with_schemes(selected.measurements, replace(scheme, baskets=scheme.baskets + frozen))
        ratings, schemes = list(found.ratings), dict(found.schemes)
        for declared, campaigns in self._declared(scheme).items():
            cohorts = {
                selected.measurements.cohorts[group.cohort]
                for group, campaign in selected.campaigns.items()
                if campaign in campaigns
            }
            ratings += [
                one for one in rate_with_schemes(selected.measurements, declared).ratings if one.cohort in cohorts
            ]
            schemes[declared.name] = declared
        return ratings, schemes

    def _declared(self, scheme: Scheme) -> dict[Scheme, set[str]]:
        """Schemes of the baskets that experiments declare, with their campaigns."""
        declared: dict[Scheme, set[str]] = {}
        for campaign in self._campaigns:
            try:
                basket = tomllib.loads(campaign.experiment).get("rating", {}).get("basket")
            except tomllib.TOMLDecodeError:  # kept by another program; its ratings then know no declared basket
                continue
            if basket and scheme.own_baskets:
                declared.setdefault(with_basket(scheme, basket), set()).add(campaign.name)
        return declared

    def keep(self, ratings: Sequence[Rating], schemes: Mapping[str, Scheme], selected: Selected) -> bool:
        """Stores what is new; False where the store cannot be written (said on the error stream)."""
        now = datetime.now(UTC)
        m = selected.measurements
        campaigns: dict[tuple[str, str, str, str], str] = {}
        for group, campaign in selected.campaigns.items():
            place = (
                m.cohorts[group.cohort] or "",
                m.tasks[group.task],
                m.configurations[group.configuration].configuration,
            )
            campaigns |= {(scheme, *place): campaign for scheme in schemes}
        rows = new_rows(ratings, schemes, self._newest, campaigns, now)
        running = self._running(selected)
        fresh = [
            {"scheme": name, "definition": scheme.definition(), "hash": scheme.hash, "created_at": now}
            for name, scheme in schemes.items()
            if name == scheme.name and name not in self._schemes  # other names: a cohort that has no own basket yet
            if not any(basket.own and basket.cohort in running for basket in scheme.baskets)
        ]
        if not rows and not fresh and db.kept_figures(self._store):
            return True
        try:
            with self._store.write() as writer:
                writer.insert("schemes", fresh)
                writer.insert("ratings", rows)
                db.keep_figures(writer)
        except db.StoreUnusable as error:
            print(error.text(_system_language()), file=sys.stderr)
            return False
        return True

    def _running(self, selected: Selected) -> set[str | None]:
        """Cohorts in which a campaign is still measuring; their own baskets are not frozen yet."""
        now = datetime.now(UTC).replace(tzinfo=None)
        names = {c.name for c in self._campaigns if c.status == "running" and now - c.sign < _SILENT}
        return {
            selected.measurements.cohorts[group.cohort] for group, name in selected.campaigns.items() if name in names
        }


def _publish(tables: Mapping[str, Sequence[Mapping[str, Any]]], options: argparse.Namespace, language: str) -> None:
    """Writes the CSV where asked for, always in English, and prints; JSON is English unless --lang asks for Chinese."""
    if options.csv:
        try:
            options.csv.write_bytes(csv_bytes(tables["en"]))
        except OSError as error:
            raise FileRefused(
                f"{options.csv} cannot be written: {error.strerror}", f"无法写入 {options.csv}：{error.strerror}"
            ) from error
    if options.json:
        print(json_text(tables[options.lang or "en"]))
    else:
        print_table(tables[language], language)


def _system_language() -> str:
    """``zh`` when the locale of this process is Chinese, else ``en``."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name)
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "zh" if (locale.getlocale()[0] or "").lower().startswith(("zh", "chinese")) else "en"


if __name__ == "__main__":
    sys.exit(main())
