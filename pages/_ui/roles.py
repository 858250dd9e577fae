"""Who may rate: everybody on this machine, or with a login (OIDC) those whom the secrets name.

``.streamlit/secrets.toml`` with an ``[auth]`` table switches the login on; ``[roles] raters = ["ann@example.org"]`` says who
may rate (without it everyone who is logged in). docs/operations.md shows both.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError

from pages._ui.i18n import t

__all__ = ["login_button", "may_rate", "person"]


def _secrets(table: str) -> Mapping[str, Any]:
    """A table of the secrets, empty where there is none."""
    try:
        found = st.secrets.get(table, {})
    except StreamlitSecretNotFoundError:
        return {}
    return found if isinstance(found, Mapping) else {}


def _with_login() -> bool:
    return bool(_secrets("auth"))


def person() -> str | None:
    """The e-mail of who is logged in; None without a login, or where there is none on this server.

    Streamlit does not look at the token's own end, so it is done here.
    """
    if not _with_login() or not st.user.get("is_logged_in"):
        return None
    ends = st.user.get("exp")
    if isinstance(ends, int | float) and ends < time.time():
        st.logout()
    email = st.user.get("email")
    return str(email) if email else None


def may_rate() -> bool:
    """Whether this visitor may rate."""
    if not _with_login():
        return True
    email = person()
    raters = _secrets("roles").get("raters")
    return email is not None and (raters is None or email in list(raters))


def login_button() -> None:
    """Log in or out, where the server has a login."""
    if not _with_login():
        return
    if email := person():
        st.caption(t("login.who", who=email))
        if st.button(t("login.out"), icon=":material/logout:"):
            st.logout()
    elif st.button(t("login.in"), icon=":material/login:"):
        st.login()
