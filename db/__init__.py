"""The only door to the database: where it lies, who may write, how it grows, what it answers.

``Store`` opens, migrates, reads and writes; ``db.reader`` holds the queries of pages and rating; ``FLAGS``
is the one table of validity flags.
"""

from __future__ import annotations

from db.errors import StoreError, StoreLocked, StoreMissing, StoreNewer, StoreOlder, StoreUnusable
from db.figures import figures, keep_figures, kept_figures
from db.flags import FLAGS, effect_of
from db.store import Store, data_version, store_path
from db.writer import Writer

__all__ = [
    "FLAGS", "Store", "StoreError", "StoreLocked", "StoreMissing", "StoreNewer", "StoreOlder",
    "StoreUnusable", "Writer", "data_version", "effect_of", "figures", "keep_figures", "kept_figures", "store_path",
]  # fmt: skip
