"""The documents say what the code does."""

from pathlib import Path

from collector.__main__ import build_parser
from db import FLAGS

ROOT = Path(__file__).resolve().parent.parent


def test_the_protocol_prints_the_flag_table_as_it_is() -> None:
    text = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `") and line.count("|") == 5]
    flags = [row.split("|")[1].strip(" `") for row in rows]
    assert [f"| `{f.name}` | {f.effect} | {f.en} | {f.zh} |" for f in FLAGS] == [r for r in rows if r.split("|")[2].strip() in
           ("shown", "failure", "left_out", "unrated")]  # fmt: skip
    assert len(flags) >= len(FLAGS)


def test_every_command_has_help_and_is_documented() -> None:
    documented = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    commands = next(a for a in build_parser()._actions if hasattr(a, "choices") and isinstance(a.choices, dict))
    for name, parser in commands.choices.items():
        assert parser.description, name
        assert f"collector {name}" in documented, name


def test_readmes_are_short_and_of_one_structure() -> None:
    english, chinese = ((ROOT / n).read_text(encoding="utf-8") for n in ("README.md", "README.zh-CN.md"))
    assert len(english.splitlines()) <= 150
    assert len(chinese.splitlines()) <= 150
    assert english.count("\n## ") == chinese.count("\n## ")
    for text in (english, chinese):
        assert "python start.py" in text
        assert "python start.py test" in text
