"""What several commands share: options, overrides of the experiment file, the store."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from collector.errors import UsageError
from collector.experiment import Experiment, load_experiment, parse_experiment
from collector.i18n import t
from db import Store, store_path

__all__ = ["add_db", "add_experiment", "open_store", "read_experiment"]


def add_db(parser: argparse.ArgumentParser) -> None:
    """``--db PATH``."""
    parser.add_argument("--db", type=Path, metavar="PATH", help=t("database (default: ENERGY_RATING_DB, else data/energy-rating.duckdb)",
                                                                  "数据库（默认：ENERGY_RATING_DB，否则 data/energy-rating.duckdb）"))  # fmt: skip


def add_experiment(parser: argparse.ArgumentParser) -> None:
    """The experiment file, and the guide's options that override it."""
    parser.add_argument(
        "experiment", nargs="?", type=Path, metavar="EXPERIMENT.toml", help=t("experiment file", "实验文件")
    )
    add = parser.add_argument_group(t("instead of the file, or over it", "代替文件或覆盖文件")).add_argument
    add("--models", nargs="+", metavar="TAG", help=t("models to measure", "要测量的模型"))
    add("--runs", "--repeats", type=int, dest="runs", metavar="N", help=t("repeats of each item", "每题重复次数"))
    add(
        "--max-tokens",
        "--max_tokens",
        type=int,
        dest="max_tokens",
        metavar="N",
        help=t("output cap for every load", "所有负载的输出上限"),
    )
    add("--temperature", type=float, metavar="T", help=t("sampling temperature", "采样温度"))


def _overrides(options: argparse.Namespace) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    if options.models:
        chosen["models"] = options.models
    if options.runs is not None:
        chosen["repeats"] = options.runs
    generation: dict[str, Any] = {}
    if options.temperature is not None:
        generation["temperature"] = options.temperature
    if options.max_tokens is not None:
        generation["max_output_tokens"] = dict.fromkeys(("short", "medium", "long"), options.max_tokens)
    if generation:
        chosen["generation"] = generation
    return chosen


def read_experiment(options: argparse.Namespace) -> tuple[Experiment, str]:
    """The experiment of the command line and the name that messages use for it.

    Raises:
        UsageError: neither a file nor ``--models``.
        ExperimentError: the file or an option is wrong.
    """
    overrides = _overrides(options)
    if options.experiment is not None:
        return load_experiment(options.experiment, overrides), str(options.experiment)
    if not options.models:
        raise UsageError("Name an experiment file or give --models TAG ...", "请给出实验文件，或使用 --models TAG ...")
    return parse_experiment({"name": "command-line", **overrides}, "command line"), "command line"


def open_store(options: argparse.Namespace, experiment: Experiment | None = None) -> Store:
    """The store: ``--db``, else the experiment's own, else the default place."""
    chosen = options.db or (Path(experiment.data.db) if experiment and experiment.data.db else None)
    return Store(store_path(chosen))
