"""Parquet with the columns of trl.py, for `datasets`, DuckDB, pandas and the Hub."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .lesson import COLUMNS, Lesson

TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
SCHEMA = pa.schema(
    [(name, MESSAGES) for name in ("prompt", "chosen", "rejected")]
    + [(name, TYPES[kind]) for name, kind in COLUMNS.items()]
)
GROUP = 2000  # rows held in memory


class ParquetFile:
    """One file on its way out. Rows are written group by group."""

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, 0
        self._held: list[dict[str, Any]] = []
        self._writer = pq.ParquetWriter(path, SCHEMA, compression="zstd")

    def add(self, lesson: Lesson) -> None:
        for loser in lesson.pairs:
            self._held.append(
                {
                    "prompt": lesson.messages,
                    "chosen": [{"role": "assistant", "content": lesson.text}],
                    "rejected": [{"role": "assistant", "content": loser.text}],
                    **lesson.columns,
                    **loser.columns,
                }
            )
            self.rows += 1
        if len(self._held) >= GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    @property
    def sha256(self) -> str:
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.Table.from_pylist(self._held, schema=SCHEMA))
            self._held = []
