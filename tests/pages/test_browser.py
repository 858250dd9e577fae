"""A walk through the app in a real Chromium: what only a browser shows. Skipped where there is none."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from db import Store, reader
from pages._ui import export, i18n
from tests.fakes.sample_store import NIGHT, POCKET_COHORT, configuration_id

sync_api = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")
ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
EN, ZH = i18n.catalogue("en"), i18n.catalogue("zh")
PAGES = ("overview", "model", "compare", "tasks", "quantization", "runs", "spotcheck", "collection", "advisor", "method")
PATIENCE_MS = 30_000

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def server(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app on a free loopback port, just started: its first visitor comes cold."""
    with serving(sample, tmp_path_factory.mktemp("server") / "log.txt") as address:
        yield address


@contextmanager
def serving(database: Path, log: Path) -> Iterator[str]:
    """The app on a store, until the block ends; its log must hold no traceback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", f"--server.port={port}"],
            cwd=ROOT, env=os.environ | {"ENERGY_RATING_DB": str(database)}, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
        address = f"http://127.0.0.1:{port}"
        try:
            _wait_for(f"{address}/_stcore/health", process)
            yield address
        finally:
            process.terminate()
            process.wait(timeout=20)
    assert "Traceback" not in log.read_text(encoding="utf-8", errors="replace")


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(address, timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail("the server did not become ready")


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


class Visitor:
    """One browser tab that remembers what went wrong in it."""

    def __init__(self, browser: sync_api.Browser, server: str, locale: str = "en-US", width: int = 1280) -> None:
        # One context for each language, so that the app's scripts are fetched once.
        known = {context.pages[0].evaluate("navigator.language"): context for context in browser.contexts}
        context = known.get(locale) or browser.new_context(locale=locale)
        if locale not in known:
            context.new_page()
        self.page = context.new_page()
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.set_default_timeout(PATIENCE_MS)
        self.server, self.wrong = server, []
        self.page.on("pageerror", lambda error: self.wrong.append(f"script error: {error}"))
        self.page.on("request", self._request)
        self.page.on("console", self._console)

    def _request(self, request: sync_api.Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1":
            self.wrong.append(f"asked another host: {request.url}")

    def _console(self, message: sync_api.ConsoleMessage) -> None:
        # Streamlit looks for itself below a deep link first and is answered 404; nothing else may fail.
        if message.type == "error" and "/_stcore/" not in str(message.location.get("url", "")):
            self.wrong.append(f"console: {message.text}")

    def go(self, place: str) -> None:
        self.page.goto(self.server + place)

    def expect_page(self, title: str) -> None:
        """The page stands there whole: its title, no exception, no "page not found"."""
        sync_api.expect(self.page.get_by_role("heading", level=1)).to_have_text(title, timeout=PATIENCE_MS)
        self.expect_script_ended()
        sync_api.expect(self.page.get_by_test_id("stException")).to_have_count(0)
        sync_api.expect(self.page.get_by_role("dialog")).to_have_count(0)

    def expect_script_ended(self) -> None:
        done = self.page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]')
        sync_api.expect(done).to_be_attached(timeout=PATIENCE_MS)

    def leave(self) -> None:
        self.page.close()
        assert self.wrong == []


def test_the_first_visitor_may_come_by_deep_link(server: str, browser: sync_api.Browser) -> None:
    visitor = Visitor(browser, server)
    visitor.go("/compare")  # first: a menu of file names would flash on a server nobody visited yet
    visitor.expect_page(EN["nav.compare"])
    links = visitor.page.get_by_test_id("stSidebarNav").get_by_role("link")
    sync_api.expect(links).to_have_count(len(PAGES))
    for link, name in zip(links.all(), PAGES, strict=True):
        sync_api.expect(link).to_contain_text(EN[f"nav.{name}"])
    visitor.leave()


def test_a_link_to_a_run_opens_it_in_its_language_on_a_phone(server: str, browser: sync_api.Browser) -> None:
    visitor = Visitor(browser, server, width=390)
    visitor.go("/runs?run=run-00000&lang=zh")
    visitor.expect_page(ZH["nav.runs"])
    charts = visitor.page.get_by_test_id("stVegaLiteChart")
    sync_api.expect(charts).to_have_count(4, timeout=PATIENCE_MS)
    sync_api.expect(charts.first.locator("svg.marks, canvas.marks")).to_be_visible(timeout=PATIENCE_MS)
    width = visitor.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390, "the page must not scroll sideways"
    visitor.leave()


@pytest.mark.parametrize(("locale", "texts", "other", "theirs"), [("en-US", EN, "zh", ZH), ("zh-CN", ZH, "en", EN)])
def test_menu_and_language(
    server: str, browser: sync_api.Browser, locale: str, texts: dict[str, str], other: str, theirs: dict[str, str]
) -> None:
    visitor = Visitor(browser, server, locale)
    visitor.go("/")
    visitor.expect_page(texts["nav.overview"])
    for name in (*PAGES[1:], PAGES[0]) if texts is EN else ("runs", "overview"):
        visitor.page.get_by_test_id("stSidebarNav").get_by_role("link", name=texts[f"nav.{name}"]).click()
        visitor.expect_page(texts[f"nav.{name}"])
    visitor.page.get_by_test_id("stSidebar").get_by_role("radio", name=other).click()
    visitor.expect_page(theirs["nav.overview"])
    assert f"lang={other}" in visitor.page.url
    visitor.leave()


def test_filter_goes_into_the_address_and_back_brings_it_back(server: str, browser: sync_api.Browser) -> None:
    visitor = Visitor(browser, server)
    visitor.go("/?task=qa")
    visitor.expect_page(EN["nav.overview"])
    chosen = visitor.page.get_by_role("radio", name=EN["task.qa"])
    sync_api.expect(chosen).to_be_checked()
    visitor.page.get_by_role("radio", name=EN["task.summary"]).click()
    visitor.page.wait_for_url("**task=summary**", timeout=PATIENCE_MS)
    visitor.expect_page(EN["nav.overview"])
    visitor.page.go_back()
    sync_api.expect(chosen).to_be_checked(timeout=PATIENCE_MS)
    visitor.leave()


def test_a_cohort_goes_along_to_the_other_pages_and_back(server: str, browser: sync_api.Browser) -> None:
    visitor = Visitor(browser, server)
    visitor.go(f"/?{urlencode({'cohort': POCKET_COHORT})}")
    visitor.expect_page(EN["nav.overview"])
    visitor.page.get_by_test_id("stSidebarNav").get_by_role("link", name=EN["nav.model"]).click()
    visitor.expect_page(EN["nav.model"])
    sync_api.expect(visitor.page.get_by_role("combobox", name=EN["filter.cohort"])).to_have_value(POCKET_COHORT)
    visitor.page.wait_for_url("**cohort=**", timeout=PATIENCE_MS)
    for _ in range(2):  # the address without and the one before the menu
        visitor.page.go_back()
        visitor.expect_script_ended()
    visitor.expect_page(EN["nav.overview"])
    visitor.leave()


def test_the_rating_table_downloads_as_the_commands_bytes(
    server: str, browser: sync_api.Browser, sample: Path, tmp_path: Path
) -> None:
    visitor = Visitor(browser, server)
    visitor.go("/")
    visitor.expect_page(EN["nav.overview"])
    with visitor.page.expect_download(timeout=PATIENCE_MS) as waiting:
        visitor.page.get_by_role("button", name=EN["export.ratings"]).click()
    waiting.value.save_as(tmp_path / "ratings.csv")
    assert waiting.value.suggested_filename == "ratings.csv"
    assert (tmp_path / "ratings.csv").read_bytes() == export.rating_csv(reader.ratings(Store(sample)))
    visitor.leave()


def test_a_mark_that_is_picked_in_a_chart_leads_to_its_runs(server: str, browser: sync_api.Browser) -> None:
    visitor = Visitor(browser, server)
    visitor.go(f"/model?configuration={configuration_id('gemma2:9b-instruct-q4_K_M').replace('#', '%23')}")
    visitor.expect_page(EN["nav.model"])
    chart = visitor.page.get_by_test_id("stVegaLiteChart").nth(1)  # behind the history of the letter
    marks = chart.locator("svg .mark-symbol.role-mark path")
    sync_api.expect(marks.first).to_be_visible(timeout=PATIENCE_MS)
    marks.first.click(force=True)
    link = visitor.page.get_by_role("link", name=EN["model.picked"].split("{")[0])
    sync_api.expect(link).to_be_visible(timeout=PATIENCE_MS)
    link.click()
    visitor.expect_page(EN["nav.runs"])
    assert "load=" in visitor.page.url
    visitor.leave()


def test_one_answer_is_rated_in_the_spot_check(browser: sync_api.Browser, sample: Path, tmp_path: Path) -> None:
    store = Store(shutil.copy(sample, tmp_path / "rated.duckdb"))
    with serving(store.path, tmp_path / "log.txt") as server:
        visitor = Visitor(browser, server)
        visitor.go(f"/spotcheck?campaign={NIGHT}")
        visitor.expect_page(EN["nav.spotcheck"])
        visitor.page.get_by_label(EN["spot.name"]).fill("Ann")
        visitor.page.keyboard.press("Enter")
        for name, mark in (("factuality", "4"), ("relevance", "5"), ("fluency", "3")):
            group = visitor.page.get_by_role("radiogroup", name=EN[f"spot.{name}"])
            group.get_by_role("radio", name=mark, exact=True).click()
        visitor.page.get_by_role("button", name=EN["spot.save"]).click()
        progress = visitor.page.get_by_text(EN["spot.progress"].split("{total}")[0].format(done=1), exact=False)
        sync_api.expect(progress).to_be_visible(timeout=PATIENCE_MS)
        visitor.leave()
    stored = store.query("SELECT rater, factuality, relevance, fluency FROM v_human_ratings")
    assert stored.values.tolist() == [["Ann", 4, 5, 3]]


def test_a_link_may_name_a_configuration(server: str, browser: sync_api.Browser) -> None:
    visitor = Visitor(browser, server)
    visitor.go(f"/runs?configuration={configuration_id('gemma2:9b-instruct-q4_K_M').replace('#', '%23')}")
    visitor.expect_page(EN["nav.runs"])
    chosen = visitor.page.get_by_role("combobox", name=EN["filter.configuration"])
    sync_api.expect(chosen).to_have_value(configuration_id("gemma2:9b-instruct-q4_K_M"))
    visitor.leave()


def test_no_page_has_an_accessibility_violation_above_minor(server: str, browser: sync_api.Browser) -> None:
    visitor, found = Visitor(browser, server), []
    for place, name in [("", PAGES[0]), *((name, name) for name in PAGES[1:])]:
        visitor.go(f"/{place}?run=run-00000" if place == "runs" else f"/{place}")
        visitor.expect_page(EN[f"nav.{name}"])
        for violation in axe.Axe().run(visitor.page).response["violations"]:
            if violation["impact"] in ("moderate", "serious", "critical"):
                nodes = [node["html"][:200] for node in violation["nodes"][:3]]
                found.append(f"{name}: {violation['id']} ({violation['help']}): {nodes}")
    assert found == []
    visitor.leave()
