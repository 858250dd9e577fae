"""What every test starts from."""

import pytest

from collector.i18n import set_language


@pytest.fixture(autouse=True)
def _english() -> None:
    """The command line's language is one setting of the process; a test that changes it must not reach the next."""
    set_language("en")
