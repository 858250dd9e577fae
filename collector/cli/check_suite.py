"""``check-suite``: is what the models are asked fit to be rated on, the shipped suite or one's own item files."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from collector.errors import ItemError
from collector.i18n import current, t
from collector.pocket import MODELS_DIR, registry
from collector.suite import SHIPPED, Item, Problem, Suite, token_estimate
from collector.suite.ranges import texts
from collector.suite.suite import read_tables

if TYPE_CHECKING:
    from collector.suite.check import TokenCounter

__all__ = ["register", "shipped_counter"]


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    text = t("check the task suite or your own item files", "检查任务集或自己的题目文件")
    parser = commands.add_parser("check-suite", help=text, description=text)
    add = parser.add_argument
    add(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help=t("item files (default: the shipped suite)", "题目文件（默认：自带任务集）"),
    )
    add("--json", action="store_true", help=t("print JSON", "输出 JSON"))
    own = t(
        "imported items: ask only for what a quality rests on, not for lengths and numbers of references and cases",
        "导入的题目：只检查评分所必需的内容，不要求长度以及参考答案与用例的数量",
    )
    add("--own", action="store_true", help=own)
    help_ = t("run the reference solutions of code items in the sandbox", "在沙箱中运行代码题的参考解")
    add("--run-code", action="store_true", help=help_)
    parser.set_defaults(func=_check)


def _check(options: argparse.Namespace) -> int:
    """0 all is right; 2 something is wrong; 3 code was to be run and could not be."""
    # Imported here: the help and other commands need neither.
    from collector.quality.code import code_verdict
    from collector.suite.check import examine

    shipped = sorted(SHIPPED.glob("*.json"))
    files: list[Path] = options.files or shipped
    items, broken = _read(files)
    chosen = {path.resolve() for path in files}
    beside, _ = _read([path for path in shipped if path.resolve() not in chosen])
    counter = shipped_counter()
    found = examine(
        items,
        beside=beside,
        shipped=not options.files,
        own=options.own,
        count_tokens=counter,
        run_code=code_verdict if options.run_code else None,
    )
    problems = [*broken, *found.problems]
    if options.json:
        print(json.dumps(_as_json(items, problems, found.unchecked, counter), ensure_ascii=False, indent=2))
    else:
        _show(items, problems, found.unchecked, counter)
    return 2 if problems else 3 if options.run_code and found.unchecked else 0


def _read(files: Sequence[Path]) -> tuple[list[Item], list[Problem]]:
    """The items that can be read, and a problem for every one that cannot, and every such file."""
    items: list[Item] = []
    broken: list[Problem] = []
    for path in files:
        try:
            tables = read_tables(path)
        except ItemError as error:
            broken.append(Problem(None, "", error.en, error.zh))
            continue
        suite, version = tables.get("suite", path.stem), tables.get("version")
        for table in tables["item"]:
            try:
                items.append(Item.from_table(table, str(path), suite=suite, suite_version=version))
            except ItemError as error:
                broken.append(Problem(None, "", error.en, error.zh))
    return items, broken


def shipped_counter() -> TokenCounter | None:
    """Tokens by the tokenizer of the shipped models; None when they are not there."""
    from tokenizers import Tokenizer

    folders = list(registry(MODELS_DIR).values())
    if not folders:
        return None
    tokenizer = Tokenizer.from_file(str(folders[-1] / "tokenizer.json"))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def _as_json(
    items: Sequence[Item], problems: Sequence[Problem], unchecked: Sequence[Problem], counter: TokenCounter | None
) -> dict[str, Any]:
    lengths = [
        {
            "item": item.id,
            "field": field,
            "estimated_tokens": token_estimate(text),
            "shipped_tokenizer_tokens": counter(text) if counter else None,
        }
        for item in items
        for field, text in texts(item).items()
    ]
    return {
        "version": Suite(tuple(items)).version,
        "items": len(items),
        "problems": [problem._asdict() for problem in problems],
        "unchecked": [problem._asdict() for problem in unchecked],
        "lengths": lengths,
    }


def _show(
    items: Sequence[Item], problems: Sequence[Problem], unchecked: Sequence[Problem], counter: TokenCounter | None
) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if items:
        console.print(_table(items, counter))
        print(t("Tokens as estimated / by the shipped tokenizer.", "token 数：估算值 / 自带分词器计数。"))
    for problem in problems:
        print(problem.text(current()))
    if unchecked:
        print(
            t(
                f"Not checked: reference solutions, {len(unchecked)}; the first: ",
                f"未检查的参考解：{len(unchecked)} 个；第一个：",
            )
            + unchecked[0].text(current())
        )
    n, version = len(items), Suite(tuple(items)).version
    if problems:
        print(t(f"Problems: {len(problems)}; items: {n}.", f"问题：{len(problems)} 个；题目：{n} 道。"))
    else:
        print(t(f"No problem; items: {n}; version: {version}", f"没有问题；题目：{n} 道；版本：{version}"))


def _table(items: Sequence[Item], counter: TokenCounter | None) -> Table:
    """One line per task, load and language: how many items, and how long their texts are."""
    titles = (
        t("task", "任务"),
        t("load", "负载"),
        t("language", "语言"),
        t("items", "题数"),
        t("prompt", "提示"),
        t("references", "参考"),
    )
    table = Table(*titles, box=None, pad_edge=False)
    cells: dict[tuple[str, str, str], list[Item]] = {}
    for item in items:
        cells.setdefault((item.task, item.load, item.language), []).append(item)
    for cell, members in cells.items():
        prompts = [item.prompt for item in members]
        references = [text for item in members for text in item.references]
        table.add_row(*cell, str(len(members)), _span(prompts, counter), _span(references, counter))
    return table


def _span(found: Sequence[str], counter: TokenCounter | None) -> str:
    if not found:
        return "-"
    counts = [[rule(text) for text in found] for rule in (token_estimate, counter) if rule is not None]
    return " / ".join(f"{min(count)}–{max(count)}" for count in counts)
