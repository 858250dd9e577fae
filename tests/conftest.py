"""What every test starts from."""

import os
import tempfile

import pytest
from hypothesis import HealthCheck, settings

from collector.i18n import set_language

# locks, logs and unsaved answers of tests are no business of the user's own measurements, nor of the other test process
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="energy-rating-tests-")

# a busy machine is no reason to fail: no test asserts a time
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


@pytest.fixture(autouse=True)
def _english() -> None:
    """The command line's language is one setting of the process; a test that changes it must not reach the next."""
    set_language("en")
