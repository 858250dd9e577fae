"""What every test starts from."""

import pytest
from hypothesis import HealthCheck, settings

from collector.i18n import set_language

# a busy machine is no reason to fail: no test asserts a time
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


@pytest.fixture(autouse=True)
def _english() -> None:
    """The command line's language is one setting of the process; a test that changes it must not reach the next."""
    set_language("en")
