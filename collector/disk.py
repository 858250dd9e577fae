"""Room on the disk: for models before they are pulled, for the database before a night."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collector.errors import CollectorError

__all__ = ["RUN_BYTES", "DiskFull", "Room", "free_bytes", "room_for_answers"]

RUN_BYTES: Final = 40_000  # database growth per answer, measured on stored campaigns at 10 Hz
_RESERVE_BYTES: Final = 200_000_000  # the database's own log and its checkpoints, logs, the system's needs
_COMFORT: Final = 3.0  # long answers take more than the usual one
_LOW_BYTES: Final = 2_000_000_000


class DiskFull(CollectorError):
    """What is to be written does not fit; the sentence names folder and amount."""


@dataclass(frozen=True, slots=True)
class Room:
    """The disk under a folder, beside what is needed there.

    Attributes:
        folder: the nearest one that exists.
        fits: whether it holds what is needed and the reserve.
        low: whether it fits, but closely.
    """

    folder: Path
    free_bytes: int
    need_bytes: int

    @property
    def fits(self) -> bool:  # noqa: D102
        return self.free_bytes >= self.need_bytes + _RESERVE_BYTES

    @property
    def low(self) -> bool:  # noqa: D102
        return self.fits and self.free_bytes < _COMFORT * self.need_bytes + _LOW_BYTES

    def sentences(self) -> tuple[str, str]:
        """Free and needed space in words: English, Chinese."""
        free, need = self.free_bytes / 1e9, (self.need_bytes + _RESERVE_BYTES) / 1e9
        return (f"{free:.1f} GB are free at {self.folder}, about {need:.1f} GB are needed",
                f"{self.folder} 剩余 {free:.1f} GB，约需 {need:.1f} GB")  # fmt: skip

    def refuse(self) -> None:
        """Raises DiskFull where it does not fit."""
        if self.fits:
            return
        free, need = self.free_bytes / 1e9, (self.need_bytes + _RESERVE_BYTES) / 1e9
        raise DiskFull(
            f"The database does not fit on the disk: {free:.1f} GB are free at {self.folder}, about {need:.1f} GB are "
            "needed; free some space, or choose another place with --db.",
            f"磁盘放不下数据库：{self.folder} 剩余 {free:.1f} GB，约需 {need:.1f} GB；请清理空间，或用 --db 换一个位置。",
        )


def free_bytes(path: Path) -> tuple[Path, int]:
    """The nearest folder above ``path`` that exists, and what is free there."""
    folder = next((p for p in (path, *path.parents) if p.is_dir()), Path("/"))
    return folder, shutil.disk_usage(folder).free


def room_for_answers(database: Path, answers: int) -> Room:
    """Whether the database can take so many more answers."""
    folder, free = free_bytes(database.parent)
    return Room(folder, free, answers * RUN_BYTES)
