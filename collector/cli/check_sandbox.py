"""``check-sandbox``: does anything that a generated program could do escape from the sandboxes of this machine."""

from __future__ import annotations

import argparse
import json

from rich.console import Console

from collector.i18n import current, t
from collector.quality.sandbox import Report, cure, prove

__all__ = ["register"]


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    text = t("try to escape from each sandbox for generated code", "尝试从每种代码沙箱中逃逸")
    parser = commands.add_parser("check-sandbox", help=text, description=text)
    parser.add_argument("--json", action="store_true", help=t("print JSON", "输出 JSON"))
    parser.set_defaults(func=_check)


def _check(options: argparse.Namespace) -> int:
    """0 one holds and nothing escapes; 1 something escapes; 3 none can be used."""
    reports = prove()
    used = next((report.backend for report in reports if report.holds), None)
    escaped = any(report.escapes for report in reports)
    if options.json:
        whole = {"used": used, "escaped": escaped, "backends": [report.as_json() for report in reports]}
        print(json.dumps(whole, ensure_ascii=False, indent=2))
    else:
        _show(reports, used)
    return 1 if escaped else 0 if used else 3


def _show(reports: list[Report], used: str | None) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for report in reports:
        colour, mark = ("green", "ok  ") if report.holds else ("yellow", "none") if report.unusable else ("red", "FAIL")
        console.print(f"[{colour}]{mark}[/] {report.backend}: ", end="")
        console.print(report.summary_zh if current() == "zh" else report.summary_en, markup=False)
        for finding in report.escapes:
            name = finding.zh if current() == "zh" else finding.name
            console.print(f"       {name}: {finding.escaped}", markup=False)
    if used:
        count = next(len(report.findings) for report in reports if report.holds)
        console.print(t(f"Generated code runs in {used} ({count} attempts, none escaped from it).",
                        f"生成的代码在 {used} 中运行（共 {count} 项尝试，均未从中逃逸）。"))  # fmt: skip
    else:
        en, zh = cure()
        console.print(t(f"No generated code is run; code answers stay unscored (no_sandbox). To change that, {en}.",
                        f"不运行生成的代码，代码回答不评分（no_sandbox）。{zh}即可解决。"), markup=False)  # fmt: skip
