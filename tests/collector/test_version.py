"""Which state of the program measured."""

from pathlib import Path

import pytest

from collector.version import own_version

_COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    (tmp_path / ".git" / "refs" / "heads").mkdir(parents=True)
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (tmp_path / ".git" / "refs" / "heads" / "main").write_text(_COMMIT + "\n")
    return tmp_path


def test_version_and_commit(clone: Path) -> None:
    assert own_version(clone) == "1.2.3+g0123456789ab"


def test_a_commit_in_packed_refs_or_by_itself(clone: Path) -> None:
    (clone / ".git" / "refs" / "heads" / "main").unlink()
    assert own_version(clone) == "1.2.3"
    (clone / ".git" / "packed-refs").write_text(f"# pack-refs\n{'f' * 40} refs/heads/mainly\n{_COMMIT} refs/heads/main\n")
    assert own_version(clone) == "1.2.3+g0123456789ab"
    (clone / ".git" / "HEAD").write_text("f" * 40 + "\n")
    assert own_version(clone) == "1.2.3+gffffffffffff"


def test_without_a_clone(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (clone / ".git" / "HEAD").unlink()
    assert own_version(clone) == "1.2.3"
    (clone / "pyproject.toml").write_text("[broken")
    assert own_version(clone) is None


def test_this_program_knows_its_version() -> None:
    assert (own_version() or "").startswith("0.")
