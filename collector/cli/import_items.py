"""``import-items``: turns HumanEval, MBPP, the guide's test cases or any table of prompts into an item file."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from collector.errors import UsageError
from collector.i18n import t
from collector.suite import LOAD_TOKENS, TASKS

if TYPE_CHECKING:
    from collector.suite.importer import Imported, Remark

__all__ = ["register"]


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    text = t(
        "turn HumanEval, MBPP, test_cases or a table of prompts into an item file",
        "把 HumanEval、MBPP、test_cases 或提示表转换为题目文件",
    )
    parser = commands.add_parser("import-items", help=text, description=text)
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help=t(".csv, .tsv, .json, .jsonl or .py", ".csv、.tsv、.json、.jsonl 或 .py"))
    add(
        "--out",
        type=Path,
        metavar="FILE.json",
        help=t("item file to write (default: beside FILE, ending .items.json)", "要写出的题目文件（默认：与 FILE 同处，后缀 .items.json）"),
    )
    add("--force", action="store_true", help=t("overwrite it", "覆盖已有文件"))
    tasks = sorted(set(TASKS) - {"code"})
    add("--task", choices=tasks, default="qa", help=t("of rows without a task (default: qa)", "未注明任务的行的任务（默认：qa）"))
    add("--load", choices=list(LOAD_TOKENS), help=t("of rows without a load (default: by length)", "未注明负载的行的负载（默认：按长度）"))
    add("--language", metavar="CODE", help=t("of rows without a language (default: detected)", "未注明语言的行的语言（默认：自动检测）"))
    add(
        "--columns",
        nargs="+",
        default=[],
        metavar="FIELD=COLUMN",
        help=t("which column is what, e.g. prompt=question,reference=answer", "各列的含义，例如 prompt=问题,reference=答案"),
    )
    parser.set_defaults(func=_import)


def _import(options: argparse.Namespace) -> int:
    """0 every row is an item; 1 some were skipped; 2 nothing could be read or written."""
    # Imported here: the help and other commands do not need it.
    from collector.suite.importer import Wishes, import_items, table_of_columns

    source: Path = options.file
    target: Path = options.out or source.with_name(source.stem + ".items.json")
    _check_target(source, target, options.force)
    wishes = Wishes(options.task, options.load, options.language, table_of_columns(options.columns))
    found = import_items(source, wishes)
    for word, remarks in ((t("skipped", "已跳过"), found.skipped), (t("note", "说明"), found.remarks)):
        for remark in remarks:
            print(_line(remark, word, found.lines))
    if not found.tables:
        raise UsageError(
            f"{source}: no row became an item, nothing was written.", f"{source}：没有任何一行可转换为题目，未写出文件。"
        )
    _write(target, json.dumps(found.file(source.stem), ensure_ascii=False, indent=2) + "\n")
    for line in _summary(found, target):
        print(line)
    return 1 if found.skipped else 0


def _line(remark: Remark, word: str, lines: bool) -> str:
    place = t("line", "行") if lines else t("row", "条")
    return t(f"{place} {remark.row}: {word}: {remark.en}", f"第 {remark.row} {place}：{word}：{remark.zh}")


def _summary(found: Imported, target: Path) -> list[str]:
    cells = Counter(f"{table['task']} {table['load']} {table['language']}" for table in found.tables)
    shown = ", ".join(f"{cell}: {count}" for cell, count in cells.items())
    return [
        t(
            f"Written to {target}: items {len(found.tables)} ({shown}), rows skipped {len(found.skipped)}.",
            f"已写入 {target}：题目 {len(found.tables)} 道（{shown}），跳过 {len(found.skipped)} 行。",
        ),
        t("In the experiment: ", "在实验文件中写：") + f'suite = ["{target.as_posix()}"]',
        t("Check it with: ", "检查：") + f"python -m collector check-suite --own {target}",
    ]


def _check_target(source: Path, target: Path, force: bool) -> None:
    """Refuses what would be lost.

    Raises:
        UsageError: the target is the source, is there already or has no folder.
    """
    if target.resolve() == source.resolve():
        raise UsageError(f"--out {target} is the file to read; name another.", f"--out {target} 就是要读取的文件，请另取文件名。")
    if target.suffix.lower() != ".json":
        raise UsageError(f"--out {target}: item files end in .json.", f"--out {target}：题目文件须以 .json 结尾。")
    if target.is_dir() or (target.exists() and not force):
        raise UsageError(
            f"{target} is there already; --force overwrites it, --out names another.",
            f"{target} 已存在；可用 --force 覆盖，或用 --out 另取文件名。",
        )
    if not target.parent.is_dir():
        raise UsageError(f"There is no folder {target.parent}.", f"没有文件夹 {target.parent}。")


def _write(target: Path, text: str) -> None:
    """All of it or nothing: the file appears under its name when it is whole."""
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
            draft = Path(folder) / target.name
            draft.write_text(text, encoding="utf-8", newline="\n")
            draft.replace(target)
    except OSError as error:
        raise UsageError(f"{target} cannot be written ({error}).", f"无法写入 {target}（{error}）。") from error
