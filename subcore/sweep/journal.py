"""What a sweep has done so far: one line of JSON per finished point, on disk before the next one counts.

A kill at any moment leaves whole lines and at most one torn one at the end, which is cut off when the sweep goes on.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import IO, Any

from isa.errors import SubcoreError

FORMAT = "subcore-sweep"
VERSION = 1
NAME = "journal.jsonl"


class Journal:
    """Open journal of one sweep folder; one process at a time. `rows`: point key -> row."""

    def __init__(self, folder: Path, header: dict[str, Any], force: bool = False):
        self.path = folder / NAME
        folder.mkdir(parents=True, exist_ok=True)
        if not self.path.exists() and any(item.name != "traces" for item in folder.iterdir()) and not force:
            raise SubcoreError(f"{folder}: is not empty and holds no sweep; choose another folder")
        self._file: IO[bytes] = open(self.path, "ab+")  # noqa: SIM115  closed by close()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise SubcoreError(f"{folder}: another sweep is writing there") from None
        self.rows: dict[str, dict[str, Any]] = {}
        try:
            self._open(folder, {"format": FORMAT, "version": VERSION, **header}, force)
        except BaseException:
            self._file.close()
            raise

    def _open(self, folder: Path, header: dict[str, Any], force: bool) -> None:
        self._file.seek(0)
        data = self._file.read()
        whole = data.rfind(b"\n") + 1
        lines = data[:whole].splitlines()
        try:
            found = json.loads(lines[0]) if lines else None
            rows = [json.loads(line) for line in lines[1:]]
        except ValueError:
            raise SubcoreError(f"{self.path}: damaged; delete it or choose another folder") from None
        if found is not None and found != header:
            what = next((key for key in header if found.get(key) != header[key]), "format")
            if not force:
                raise SubcoreError(
                    f"{folder}: holds another sweep ({what} differs); choose another folder or pass --force"
                )
            found, whole, rows = None, 0, []
        self._file.truncate(whole)
        if found is None:
            self._append(header)
        self.rows = {entry["key"]: entry["row"] for entry in rows}

    def add(self, key: str, row: dict[str, Any]) -> None:
        """Record a finished point. On return it survives a kill."""
        self._append({"key": key, "row": row})
        self.rows[key] = row

    def _append(self, value: dict[str, Any]) -> None:
        self._file.seek(0, os.SEEK_END)
        self._file.write(json.dumps(value).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
