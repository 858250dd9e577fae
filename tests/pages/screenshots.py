"""Pictures of the pages for README and docs: ``python -m tests.pages.screenshots [--db PATH] [--out FOLDER]``.

Starts the app on a free loopback port and photographs every page in both languages at desktop and phone width.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from db import Store, store_path

ROOT = Path(__file__).resolve().parents[2]
WIDTHS = {"desktop": 1280, "phone": 390}
LOCALES = {"en": "en-US", "zh": "zh-CN"}


def addresses(database: Path) -> dict[str, str]:
    """Place of every page; the runs page shows the longest answer of the store."""
    longest = Store(database).query(
        "SELECT run_id FROM runs WHERE status = 'ok' ORDER BY total_s DESC NULLS LAST LIMIT 1"
    )
    run = f"?run={longest.iloc[0, 0]}" if len(longest) else ""
    return {
        "ratings": "/",
        "model": "/model",
        "compare": "/compare",
        "tasks": "/tasks",
        "quantization": "/quantization",
        "runs": f"/runs{run}",
        "spotcheck": "/spotcheck",
        "collection": "/collection",
        "advisor": "/advisor",
        "method": "/method",
    }


def photograph(page: Page, address: str, width: int, target: Path) -> None:
    """The whole page, drawn to its end."""
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(address)
    page.get_by_role("heading", level=1).wait_for()
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()
    page.wait_for_function("!document.querySelector('[data-testid=stSkeleton]')")  # parts whose scripts are still loading
    page.wait_for_timeout(1500)  # charts draw themselves after the script has ended and give no sign
    height = page.evaluate("document.querySelector('[data-testid=\"stMain\"]').scrollHeight")
    page.set_viewport_size({"width": width, "height": max(900, height + 20)})
    page.wait_for_timeout(1500)
    page.screenshot(path=target)


def visit(browser: Browser, server: str, places: dict[str, str], out: Path, theme: str) -> None:
    """These pages in every language and width."""
    for language, locale in LOCALES.items():
        context = browser.new_context(locale=locale, color_scheme="dark" if theme == "dark" else "light")
        page = context.new_page()
        for name, place in places.items():
            for device, width in WIDTHS.items():
                suffix = "" if device == "desktop" else f"-{device}"
                photograph(page, server + place, width, out / f"{name}-{language}{suffix}.png")
        context.close()


def ready(address: str) -> None:
    """Waits until the server answers, at most a minute."""
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def main() -> None:
    """Starts the app, photographs, stops it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--only", metavar="PAGE", help="only this page, e.g. ratings")
    parser.add_argument("--theme", choices=("light", "dark"), default="light")
    args = parser.parse_args()
    database = store_path(args.db).resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", f"--server.port={port}"]
    server = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"ENERGY_RATING_DB": str(database)})
    try:
        ready(f"http://127.0.0.1:{port}")
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(
                executable_path=shutil.which("chromium"),
                args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
            )
            places = {n: place for n, place in addresses(database).items() if args.only in (None, n)}
            visit(chromium, f"http://127.0.0.1:{port}", places, args.out, args.theme)
            chromium.close()
    finally:
        server.terminate()
        server.wait(timeout=20)


if __name__ == "__main__":
    main()
