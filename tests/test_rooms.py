"""Imports keep to the rooms drawn in docs/architecture.md."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ALLOWED = {"pages": {"pages", "rating", "db"}, "collector": {"collector", "db"}, "rating": {"rating"}, "db": {"db"}}
ONLY_IN = {
    "streamlit": ("pages/", "streamlit_app.py"),
    "httpx": ("collector/ollama_client.py",),
    "pynvml": ("collector/telemetry/nvml.py",),
    "duckdb": ("db/",),
}


def _imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names


def _sources() -> list[Path]:
    return sorted(p for room in ALLOWED for p in (ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("path", _sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_imports_only_what_its_room_may(path: Path) -> None:
    place = path.relative_to(ROOT).as_posix()
    room = place.split("/")[0]
    for name in _imports(path):
        top = name.split(".")[0]
        if top in ALLOWED and not (place == "rating/__main__.py" and top == "db"):
            assert top in ALLOWED[room], f"{place} imports {name}"
        if top in ONLY_IN:
            assert place.startswith(ONLY_IN[top]), f"{place} imports {name}"


def test_the_rule_would_catch_a_crossing(tmp_path: Path) -> None:
    crossing = tmp_path / "x.py"
    crossing.write_text("from collector.plan import Case\nimport streamlit.testing\n")
    assert _imports(crossing) == {"collector.plan", "streamlit.testing"}


@pytest.mark.parametrize("path", _sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno <= 60, f"{path}:{node.name}"


def test_broad_excepts_are_rare() -> None:
    broad = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in _sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException"))
    ]
    assert len(broad) <= 10, broad
