"""Choices that live in the address of the page under language-independent names, so that a link means the same to all.

Streamlit's own binding writes the label into the address, which changes with the language; these write the code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from pages._ui.i18n import language, t

__all__ = ["choose", "choose_many", "remember"]

_ANY = ""


def remember(name: str, values: Sequence[str]) -> None:
    """Writes ``values`` into the address under ``name``; none removes it."""
    if values:
        st.query_params[name] = list(values)
    else:
        st.query_params.pop(name, None)


def choose(name: str, label: str, options: Sequence[str], *, show: Callable[[str], str], default: str | None = None,
           anything: str | None = None, pick: str = "select", keep: bool = False) -> str | None:  # fmt: skip
    """One of ``options``, kept in the address as ``name``; an address that names none of them is said to.

    Args:
        name: of the query parameter.
        label: what the reader sees.
        options: codes.
        show: words of a code.
        default: the choice when the address names none; the first option when None.
        anything: words of the choice "no restriction", which gives None and is then the default; None: must choose.
        pick: ``select`` or ``segments``.
        keep: a choice goes along to the other pages, until another is made.
    """
    codes = [*([_ANY] if anything is not None else []), *options]
    standard = _ANY if anything is not None else (default if default in options else (codes[0] if codes else None))
    kept = st.session_state.get(f"{name}-kept") if keep else None
    if kept in options and kept != standard and name not in st.query_params and _arrived(name):
        # On arrival only: writing makes a step in the browser's history, which its back button must be able to undo.
        remember(name, [kept])
    asked = st.query_params.get(name)
    if keep and asked in options:
        st.session_state[f"{name}-kept"] = asked
    current = asked if asked in options else (kept if kept in options else standard)
    key = f"{name}-{language()}"

    def store() -> None:
        chosen = st.session_state[key]
        if keep:
            st.session_state[f"{name}-kept"] = chosen
        remember(name, [] if chosen in (None, standard) else [chosen])

    # Words are looked up now and not in the widget, which may ask for them outside of a run, where no language is known.
    words = {code: anything if code == _ANY and anything is not None else show(code) for code in codes}
    if _moved(name, asked) or st.session_state.get(key) not in codes:
        st.session_state[key] = current
    if pick == "segments":
        chosen = st.segmented_control(
            label, codes, format_func=words.__getitem__, key=key, required=True, on_change=store
        )
    else:
        chosen = st.selectbox(label, codes, format_func=words.__getitem__, key=key, on_change=store)
    if asked is not None and asked not in options:
        st.caption(t("state.not_here", label=label))
    return None if chosen == _ANY else chosen


def choose_many(name: str, label: str, options: Sequence[str], *, show: Callable[[str], str],
                default: Sequence[str] = (), most: int | None = None, placeholder: str = "") -> list[str]:  # fmt: skip
    """Several of ``options``, kept in the address as repeated ``name``."""
    asked = [value for value in st.query_params.get_all(name) if value in options]
    current = list(dict.fromkeys(asked or default))[:most]
    key = f"{name}-{language()}"

    def store() -> None:
        chosen = st.session_state[key]
        remember(name, [] if list(chosen) == list(default) else chosen)

    if _moved(name, asked) or key not in st.session_state:
        st.session_state[key] = current
    st.session_state[key] = [value for value in st.session_state[key] if value in options]
    words = {code: show(code) for code in options}
    return st.multiselect(
        label,
        list(options),
        format_func=words.__getitem__,
        key=key,
        on_change=store,
        max_selections=most,
        placeholder=placeholder,
    )


def _arrived(name: str) -> bool:
    """Whether this choice was last shown on another page, if ever."""
    page, _ = st.session_state.get(f"{name}@", (None, None))
    return bool(page != st.session_state.get("page"))


def _moved(name: str, asked: object) -> bool:
    """Whether page or address changed since this choice was last shown (the menu, a link, the browser's back button)."""
    now = (st.session_state.get("page"), asked)
    last = st.session_state.get(f"{name}@")
    st.session_state[f"{name}@"] = now
    return bool(last != now)
