"""Stores of every kind and the app on top of them."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from db import Store
from tests.fakes import sample_store

ROUTER = Path(__file__).resolve().parents[2] / "pages" / "_router.py"
Open = Callable[..., AppTest]
Walk = Callable[..., Iterator[tuple[str, AppTest]]]


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small store that no test changes."""
    path = tmp_path_factory.mktemp("sample") / "sample.duckdb"
    sample_store.build(path, items=8)
    return path


@pytest.fixture
def own(sample: Path, tmp_path: Path) -> Store:
    """A copy of the small store that a test may change."""
    return Store(shutil.copy(sample, tmp_path / "own.duckdb"))


@pytest.fixture(autouse=True, scope="session")
def _no_component_search() -> Iterator[None]:
    """Keeps every new AppTest from reading the metadata of all installed packages: half of the time, for nothing here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streamlit.components.v2.manifest_scanner.scan_component_manifests", list, raising=False)
        yield


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens a page as a visitor does; ``query`` is the address behind the question mark."""

    def open_page(path: Path, page: str | None = None, lang: str = "en", **query: str | list[str]) -> AppTest:
        monkeypatch.setenv("ENERGY_RATING_DB", str(path))
        at = AppTest.from_file(str(ROUTER), default_timeout=180)
        at.query_params["lang"] = lang
        if page:
            at.run()
            at.switch_page(page)
        for name, value in query.items():
            at.query_params[name] = value
        return at.run()

    return open_page


@pytest.fixture
def walk(app: Open) -> Walk:
    """Goes through the pages as one visitor: name of the page and the app on it."""

    def pages(path: Path, lang: str = "en") -> Iterator[tuple[str, AppTest]]:
        at = app(path, lang=lang)
        yield "overview", at
        for name in ("model", "compare", "tasks", "quantization", "runs", "spotcheck", "collection", "advisor", "method"):
            at.switch_page(f"{name}.py")
            yield name, at.run()

    return pages


def everything(at: AppTest) -> str:
    """All words on the page."""
    parts = [
        at.title,
        at.header,
        at.caption,
        at.markdown,
        at.text,
        at.info,
        at.warning,
        at.error,
        at.code,
        at.metric,
    ]
    return "\n".join(str(element.value) for group in parts for element in group)
