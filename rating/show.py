"""The rating table for a person at a terminal, and for a program."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rating.reasons import chance_text
from rating.scheme import OVERALL
from rating.stability import SPREAD, WEIGHT_DRAWS, Stability

__all__ = ["json_text", "print_stability", "print_table"]

_COLOURS: Final = dict(
    zip("ABCDEFG", ("green4", "green3", "chartreuse3", "yellow3", "orange1", "dark_orange3", "red3"), strict=True)
)
_HEADS: Final = {
    "en": ("task", "model", "grade", "EEI", "J/success", "EQR/kJ", "quality", "items", "rank", "status"),
    "zh": ("任务", "模型", "等级", "EEI", "J/成功", "效质比/kJ", "质量", "题数", "名次", "状态"),
}
_LEFT: Final = ("task", "model", "grade", "status")
_WIDTH: Final = 110
"""Columns assumed where the output is no terminal."""

# how the weights were drawn; the order that never changes; the order that does
_STABILITY_EN = (
    "weights drawn within ±{spread:.0%}, {draws} times: ",
    "the order is always the same",
    "same order in {found.same_order:.0%}, same best in {found.same_best:.0%}, Kendall tau {found.tau:.2f}; "
    "{first} and {second} change places in {swapped:.0%}",
)
_STABILITY_ZH = (
    "权重在 ±{spread:.0%} 内抽取 {draws} 次：",
    "次序始终不变",
    "次序不变占 {found.same_order:.0%}，第一名不变占 {found.same_best:.0%}，Kendall tau {found.tau:.2f}；"
    "{first} 与 {second} 互换占 {swapped:.0%}",
)
_STATUS_ZH: Final = {"rated": "已评级", "provisional": "暂定", "unrated": "未评级"}


def json_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as JSON; unknown is null."""
    return json.dumps(list(rows), ensure_ascii=False, allow_nan=False, indent=1)


def print_table(rows: Sequence[Mapping[str, Any]], language: str, console: Console | None = None) -> None:
    """One table per cohort and scheme, then every distinct reason once with the configurations that it concerns."""
    console = console or Console(width=None if sys.stdout.isatty() else _WIDTH)
    if not rows:
        console.print("没有可评级的数据。" if language == "zh" else "Nothing to rate yet.")
        return
    for cohort, scheme in dict.fromkeys((row["cohort"], row["scheme"]) for row in rows):
        of_cohort = [row for row in rows if (row["cohort"], row["scheme"]) == (cohort, scheme)]
        title = f"{cohort} · {scheme}" if cohort else scheme
        table = Table(title=Text(title), title_justify="left")
        for name, head in zip(_HEADS["en"], _HEADS["zh" if language == "zh" else "en"], strict=True):
            table.add_column(
                head, justify="left" if name in _LEFT else "right", no_wrap=name != "model", overflow="fold"
            )
        graded = any(row["grade"] for row in of_cohort if row["task"] == OVERALL)
        for row in sorted(of_cohort, key=_place):
            if graded or row["task"] != OVERALL:  # without any overall letter its reasons below say enough
                table.add_row(*_cells(row, language))
        console.print(table)
        _print_reasons(console, of_cohort)


def print_stability(found: Mapping[tuple[str, str], Stability], language: str) -> None:
    """Per cohort and task the order of the configurations, and how often it holds under other weights."""
    chinese = language == "zh"
    if not found:
        print(
            "还没有任何任务具备两个配置的已评分回答。"
            if chinese
            else "No task has scored answers of two configurations yet."
        )
    for (cohort, task), stability in found.items():
        where = f"{task}（{cohort}）：" if chinese else f"{task} ({cohort}): "
        print(where + " > ".join(stability.order))
        print("    " + _held(stability, chinese))


def _held(found: Stability, chinese: bool) -> str:
    """How often the order holds, in words."""
    drawn, always, words = _STABILITY_ZH if chinese else _STABILITY_EN
    drawn = drawn.format(spread=SPREAD, draws=WEIGHT_DRAWS)
    if found.worst_pair is None:
        return drawn + always
    first, second, swapped = found.worst_pair
    return drawn + words.format(found=found, first=first, second=second, swapped=swapped)


def _place(row: Mapping[str, Any]) -> tuple[object, ...]:
    return (row["task"] == OVERALL, row["task"], row["eei"] is None, row["eei"] or 0.0, row["configuration"])


def _cells(row: Mapping[str, Any], language: str) -> list[Text]:
    grade = row["grade"]
    letter = Text("–", style="dim")
    if grade:
        letter = Text.assemble((grade, f"bold {_COLOURS[grade]}"), f" {chance_text(row['grade_probability'])}")
        if row["grade_low"] != row["grade_high"]:
            letter.append(f" {row['grade_low']}–{row['grade_high']}")
    rank = row["rank_low"]
    ranks = "" if rank is None else str(rank) if rank == row["rank_high"] else f"{rank}–{row['rank_high']}"
    status = _STATUS_ZH[row["status"]] if language == "zh" else row["status"]
    quality = "" if row["quality"] is None else f"{row['quality']:.2f} {row['quality_class']}"
    return [
        Text(str(row["task"])),
        Text(str(row["model"] or row["configuration"])),
        letter,
        Text(_number(row["eei"])),
        Text(_number(row["joules_per_success"])),
        Text(_number(row["eqr_per_kj"])),
        Text(quality),
        Text(str(row["n_items"])),
        Text(ranks),
        Text(status),
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if value < 1000 else f"{value:.0f}"  # noqa: PLR2004


def _print_reasons(console: Console, rows: Iterable[Mapping[str, Any]]) -> None:
    concerned: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        for reason in row["reasons"]:
            if reason["code"] != "worst_task":
                who = str(row["model"] or row["configuration"])
                concerned.setdefault((reason["code"], reason["text"]), {})[who] = None
    for (code, text), models in concerned.items():
        names = list(models)
        shown = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")  # noqa: PLR2004
        console.print(Text.assemble((code, "bold"), f" ({shown}): {text}"))
