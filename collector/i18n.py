"""Language of the command line: both sentences stand side by side where they are said.

A command serves one person, so the language is one setting of the process (pages have their own, per session).
"""

from __future__ import annotations

import locale
import os

__all__ = ["current", "set_language", "system_language", "t"]

_language = "en"


def system_language() -> str:
    """``zh`` when the locale of this process is Chinese, else ``en``."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name)
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "zh" if (locale.getlocale()[0] or "").lower().startswith(("zh", "chinese")) else "en"


def set_language(language: str | None) -> None:
    """Sets the language of this process; ``None`` takes it from the locale."""
    global _language
    _language = language or system_language()


def current() -> str:
    """``zh`` or ``en``."""
    return _language


def t(en: str, zh: str) -> str:
    """The sentence in the current language."""
    return zh if _language == "zh" else en
