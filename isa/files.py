"""Files that are read with one kind of error, and that appear complete or not at all."""

from __future__ import annotations

import os
import secrets
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from isa.errors import SubcoreError


def read_toml(path: Path) -> tuple[dict[str, Any], str]:
    """Tables of a TOML file, and its text for messages that name a line. SubcoreError names the file."""
    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text), text
    except OSError as error:
        raise SubcoreError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SubcoreError(f"{path}: not valid TOML: {error}") from None


@contextmanager
def replace_file(path: str | Path, force: bool = False) -> Iterator[BinaryIO]:
    """Binary file that takes the place of `path` when the block ends without an error, and never before.

    Writes to `.<name>.<random>.partial` in the same folder, then fsync and rename: a kill leaves the old file (or
    none) and at most that partial file, which nothing reads. SubcoreError if `path` exists and `force` is false.
    """
    path = Path(path)
    exists = f"{path}: exists already; choose another name or pass --force"
    if path.exists() and not force:
        raise SubcoreError(exists)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with open(partial, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if path.exists() and not force:
            raise SubcoreError(exists)
        os.replace(partial, path)
        sync_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError):
            raise SubcoreError(f"{path}: cannot write: {error.strerror or error}") from None
        raise


def sync_folder(folder: Path) -> None:
    """Make renames in a folder last."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
