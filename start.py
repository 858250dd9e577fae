"""One command from a fresh clone: installs, measures, rates and shows. Needs Python >= 3.11 and nothing else.

python start.py            environment, doctor, quickstart, rating table, app in the browser
python start.py --no-app   stops after the table
python start.py test       environment with the development packages, then the tests
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import threading
import time
import urllib.request
import webbrowser
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _run(*words: str, check: bool = True, **environment: str) -> int:
    done = subprocess.run([str(PYTHON), *words], cwd=ROOT, env={**os.environ, **environment}, check=False)
    if check and done.returncode:
        sys.exit(done.returncode)
    return done.returncode


def install(*files: str) -> None:
    """Makes .venv and installs the files' packages; does nothing when that is done already."""
    wanted = hashlib.sha256(b"".join((ROOT / f).read_bytes() for f in ("requirements.txt", *files))).hexdigest()
    stamp = VENV / f"installed-{'-'.join(Path(f).stem for f in files)}"
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    if not PYTHON.exists():
        print(f"Making {VENV} ...", flush=True)
        if subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=False).returncode:
            sys.exit("Python could not make a virtual environment; on Debian and Ubuntu: sudo apt install python3-venv")
    print("Installing packages (torch is large: some minutes the first time) ...", flush=True)
    words = [word for f in files for word in ("-r", f)]
    if _run("-m", "pip", "install", "-q", "--disable-pip-version-check", *words, check=False):
        sys.exit(
            "The packages could not be installed; look at the message above (network, disk space), then run this again."
        )
    stamp.write_text(wanted)


def _open_when_up(url: str) -> None:
    for _ in range(120):
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=1):  # noqa: S310  our own loopback address
                webbrowser.open(url)
                return
        except OSError:
            time.sleep(0.5)


def app(port: int) -> int:
    """Starts the pages on the loopback address and opens the browser once they answer."""
    url = f"http://127.0.0.1:{port}"
    print(f"Pages: {url}   (Ctrl-C ends them)", flush=True)
    threading.Thread(target=_open_when_up, args=(url,), daemon=True).start()
    try:
        return _run("-m", "streamlit", "run", "streamlit_app.py", "--server.address", "127.0.0.1", "--server.port", str(port),
                    "--server.headless", "true", check=False)  # fmt: skip
    except KeyboardInterrupt:
        return 0


def main() -> int:
    """Runs what was asked for and returns the exit code."""
    if sys.version_info < (3, 11):  # noqa: UP036  people start this with whatever "python" is on their machine
        sys.exit(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}.")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("quickstart", "test"), default="quickstart")
    parser.add_argument("--no-app", action="store_true", help="stop after the rating table")
    parser.add_argument("--port", type=int, default=8501, help="port of the pages (8501)")
    parser.add_argument("--minutes", type=float, help="time limit of the quickstart")
    parser.add_argument("--lang", choices=("zh", "en"), help="language of the messages")
    options, rest = parser.parse_known_args()
    if rest and options.what != "test":
        parser.error(f"unknown: {' '.join(rest)}")
    if options.what == "test":
        install("requirements-dev.txt")
        return _run("-m", "pytest", "-n", "2", "--dist", "loadfile", *rest, check=False)
    install("requirements.txt")
    language = ["--lang", options.lang] if options.lang else []
    _run("-m", "collector", "doctor", *language, check=False)
    minutes = ["--minutes", str(options.minutes)] if options.minutes else []
    code = _run("-m", "collector", "quickstart", *minutes, *language, check=False)
    if options.no_app or code not in (0, 1):
        return code
    return app(options.port)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
