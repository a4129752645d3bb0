"""Read configurations: TOML files that inherit from one another, ablation overlays, single settings.

A file holds `inherits = "base/ampere"` and one table per section. A value is written plainly or with its source,
`mshrs = { value = 384, source = "paper: ..." }`; a table's own `source = "..."` stands for its plain values.
Later files win, and a value brings its source along. Every problem of all files is reported at once.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from configs.checks import cross_checks
from configs.knob import Knob
from configs.schema import SECTIONS, Config, all_knobs, section_knobs
from isa.errors import SubcoreError
from isa.files import read_toml

ROOT = Path(__file__).resolve().parent
ALIASES = {"a100": "a100_sxm4_80gb"}
SOURCE_KINDS = ("measured", "paper", "vendor", "fit", "guess")
USER = "user"


class ConfigError(SubcoreError):
    """Everything that is wrong with a configuration; `problems` has one line each."""

    def __init__(self, problems: Sequence[str]):
        self.problems = list(problems)
        n = len(self.problems)
        super().__init__("\n".join([f"{n} problem{'s' * (n != 1)} in the configuration:", *self.problems]))


_Entries = dict[str, tuple[Any, str]]  # "section.knob" -> value, source


def list_configs() -> list[str]:
    """Names of the shipped GPUs."""
    return sorted(p.stem for p in (ROOT / "gpus").glob("*.toml"))


def list_ablations() -> list[str]:
    """Names of the shipped overlays."""
    return sorted(p.stem for p in (ROOT / "ablations").glob("*.toml"))


def load_config(name_or_path: str | Path, overlays: Sequence[str | Path] = (), settings: Sequence[str] = ()) -> Config:
    """Configuration `name` (see `list_configs`) or TOML file, then `overlays`, then settings like "l1d.mshrs=8".

    Raises ConfigError with every problem found, each naming file, line, knob, value and what is allowed.
    """
    problems: list[str] = []
    entries: _Entries = {}
    whole = _read_chain(_find(name_or_path, "gpus", problems), entries, problems, ())
    for overlay in overlays:
        _read_chain(_find(overlay, "ablations", problems), entries, problems, ())
    for setting in settings:
        _apply_setting(setting, entries, problems)
    for section, name, _, limits in all_knobs():
        if whole and f"{section}.{name}" not in entries:
            problems.append(
                f"{name_or_path}: {section}.{name} is missing ({limits.doc}): add it, or inherit from a base"
            )
    if problems:
        raise ConfigError(problems)
    config = Config(
        **{s: cls(**{n: entries[f"{s}.{n}"][0] for n in section_knobs(s)}) for s, cls in SECTIONS.items()},
        sources={k: entries[k][1] for k in (f"{s}.{n}" for s, n, _, _ in all_knobs())},
    )
    if problems := [f"{name_or_path}: {p}" for p in cross_checks(config)]:
        raise ConfigError(problems)
    return config


def _near(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; known: {', '.join(known)}" if len(known) <= 24 else ""


def _find(name_or_path: str | Path, folder: str, problems: list[str]) -> Path | None:
    text = ALIASES.get(str(name_or_path), str(name_or_path))
    shipped = ROOT / folder / f"{text}.toml"
    if text.endswith(".toml") or "/" in text:
        if Path(text).is_file():
            return Path(text)
        problems.append(f"{text}: no such configuration file")
    elif shipped.is_file():
        return shipped
    else:
        known = sorted(p.stem for p in (ROOT / folder).glob("*.toml")) + sorted(ALIASES) * (folder == "gpus")
        kind = "GPU configuration" if folder == "gpus" else "ablation"
        problems.append(f"no {kind} named '{text}'{_near(text, known)}")
    return None


def _read_chain(path: Path | None, entries: _Entries, problems: list[str], seen: tuple[Path, ...]) -> bool:
    """Merge `path`, after all that it inherits, into `entries`; False if a file could not be read."""
    if path is None:
        return False
    shown = _shown(path)
    if path.resolve() in seen:
        problems.append(f"{shown}: inherits from itself: {' -> '.join(_shown(p) for p in (*seen, path))}")
        return False
    try:
        tables, text = read_toml(path)
    except SubcoreError as error:
        problems.append(str(error))
        return False
    parent = tables.pop("inherits", None)
    whole = True
    if isinstance(parent, str):
        file = parent.removesuffix(".toml") + ".toml"
        found = next((f / file for f in (path.parent, ROOT, ROOT / "gpus") if (f / file).is_file()), None)
        if found:
            whole = _read_chain(found, entries, problems, (*seen, path.resolve()))
        else:
            whole = False
            known = sorted(str(p.relative_to(ROOT).with_suffix("")) for p in ROOT.glob("[bg]*/*.toml"))
            problems.append(
                f"{shown}:{_line(text, '', 'inherits')}: inherits '{parent}', no such file{_near(parent, known)}"
            )
    elif parent is not None:
        problems.append(f"{shown}:{_line(text, '', 'inherits')}: inherits = {parent!r}: must be the name of one file")
    _merge(tables, text, path, entries, problems)
    return whole


def _merge(tables: dict[str, Any], text: str, path: Path, entries: _Entries, problems: list[str]) -> None:
    shown = _shown(path)
    needs_source = any(path.resolve().is_relative_to(ROOT / folder) for folder in ("gpus", "base"))
    for section, table in tables.items():
        where = f"{shown}:{_line(text, section, '')}"
        if section not in SECTIONS:
            problems.append(f"{where}: unknown section [{section}]{_near(section, list(SECTIONS))}")
            continue
        if not isinstance(table, dict):
            problems.append(f"{where}: {section} = {table!r}: must be a table of knobs")
            continue
        table_source = table.get("source", "" if needs_source else f"{USER}: {shown}")
        knobs = section_knobs(section)
        for name, value in table.items():
            if name == "source":
                continue
            where, source = f"{shown}:{_line(text, section, name)}", table_source
            if isinstance(value, dict):
                if extra := sorted(set(value) - {"value", "source"}) or ["value"] * ("value" not in value):
                    problems.append(
                        f"{where}: {section}.{name}: write {{ value = ..., source = ... }}; wrong: {extra[0]}"
                    )
                    continue
                value, source = value["value"], value.get("source", table_source)
            if name not in knobs:
                problems.append(f"{where}: unknown knob {section}.{name}{_near(name, list(knobs))}")
            elif problem := _source_problem(source, needs_source):
                problems.append(f"{where}: {section}.{name}: {problem}")
            else:
                _accept(section, name, value, source, where, entries, problems)


def _source_problem(source: Any, shipped: bool) -> str:
    kind = source.split(":")[0].strip() if isinstance(source, str) else ""
    if kind in SOURCE_KINDS or (kind == USER and not shipped):
        needs_text = kind != "guess" and kind != USER and not source.partition(":")[2].strip()
        return f"source {source!r} must say which: '{kind}: ...'" if needs_text else ""
    allowed = ", ".join(f"'{k}: ...'" for k in SOURCE_KINDS[:-1])
    return (
        f"source {source!r} must be {allowed} or 'guess'"
        if source
        else f"no source given; add one: {allowed} or 'guess'"
    )


def _apply_setting(setting: str, entries: _Entries, problems: list[str]) -> None:
    key, equals, written = (part.strip() for part in setting.partition("="))
    section, _, name = key.partition(".")
    where = f"setting '{setting}'"
    if not equals or not name or not written:
        problems.append(f"{where}: must have the form section.knob=value")
    elif section not in SECTIONS:
        problems.append(f"{where}: unknown section '{section}'{_near(section, list(SECTIONS))}")
    elif name not in section_knobs(section):
        problems.append(f"{where}: unknown knob {key}{_near(name, list(section_knobs(section)))}")
    else:
        try:
            value = tomllib.loads(f"v = {written}")["v"]
        except tomllib.TOMLDecodeError:
            value = written  # a bare word: a choice or free text
        _accept(section, name, value, f"{USER}: setting", where, entries, problems)


def _accept(
    section: str, name: str, value: Any, source: str, where: str, entries: _Entries, problems: list[str]
) -> None:
    kind, limits = section_knobs(section)[name]
    value, problem = _check(value, kind, limits)
    if problem:
        problems.append(f"{where}: {section}.{name} = {_written(value)}: {problem} ({limits.doc})")
    entries[f"{section}.{name}"] = (value, source)


def _check(value: Any, kind: str, limits: Knob) -> tuple[Any, str]:
    """Value in the type of its field, and what is wrong with it ("" = nothing)."""
    if limits.choices:
        allowed = [c.name for c in limits.choices]
        if isinstance(value, str) and value in allowed:
            return value, ""
        return (
            value,
            f"must be one of {', '.join(allowed)}{_near(str(value), allowed) if isinstance(value, str) else ''}",
        )
    if kind == "bool":
        return value, "" if isinstance(value, bool) else "must be true or false"
    if kind == "str":
        return value, "" if isinstance(value, str) and value.strip() else "must be a non-empty text"
    if kind.startswith("tuple"):
        if not isinstance(value, list | tuple) or not value:
            return value, "must be a list of integers"
        checked = [_check(v, "int", dataclasses.replace(limits, length=0, max_length=0)) for v in value]
        problem = next((p for _, p in checked if p), "")
        if limits.length and len(value) != limits.length:
            problem = f"must have {limits.length} numbers, has {len(value)}"
        elif limits.max_length and len(value) > limits.max_length:
            problem = f"must have at most {limits.max_length} numbers, has {len(value)}"
        return tuple(value), problem
    if isinstance(value, bool) or not isinstance(value, int | float) or (kind == "int" and isinstance(value, float)):
        return value, "must be an integer" if kind == "int" else "must be a number"
    if isinstance(value, int) and abs(value) >= 1 << 62:
        return value, "must fit in 62 bits"
    if not math.isfinite(value):
        return value, "must be finite"
    if (limits.lo is not None and value < limits.lo) or (limits.hi is not None and value > limits.hi):
        return value, f"must be {f'at least {limits.lo:g}' if limits.hi is None else f'{limits.lo:g} to {limits.hi:g}'}"
    if limits.power_of_two and int(value) & (int(value) - 1):
        return value, "must be a power of two"
    return float(value) if kind == "float" else value, ""


def _line(text: str, section: str, name: str) -> int:
    """Line (from 1) where `section` or one of its knobs is written, 1 if not found."""
    here, section_at = "", 1
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*([\w.\"-]+)\s*\]", line):
            here = header[1].strip('"')
            if here == section:
                section_at = number
                if not name:
                    return number
        elif (key := re.match(r"\s*([\w.\"-]+)\s*=", line)) and f"{here}.{key[1]}".strip(".") in (
            f"{section}.{name}".strip("."),
            section,
        ):
            return number
    return section_at


def _shown(path: Path) -> str:
    resolved = path.resolve()
    return f"configs/{resolved.relative_to(ROOT)}" if resolved.is_relative_to(ROOT) else str(path)


def _written(value: Any) -> str:
    """`value` in TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_written(v) for v in value)}]"
    return repr(value)


def as_flat_rows(config: Config) -> list[tuple[str, Any, str, str]]:
    """(section.knob, value, unit, source) of every knob, in the order of the schema."""
    return [
        (f"{s}.{n}", getattr(getattr(config, s), n), limits.unit, config.sources.get(f"{s}.{n}", USER))
        for s, n, _, limits in all_knobs()
    ]


def diff(a: Config, b: Config) -> list[tuple[str, Any, Any]]:
    """(section.knob, value in a, value in b) wherever the values differ."""
    pairs = zip(as_flat_rows(a), as_flat_rows(b), strict=True)
    return [(row_a[0], row_a[1], row_b[1]) for row_a, row_b in pairs if row_a[1] != row_b[1]]


def config_hash(config: Config) -> str:
    """sha256 (hexadecimal) over all knobs and values; sources do not count."""
    rows = {name: value for name, value, _, _ in as_flat_rows(config)}
    return hashlib.sha256(json.dumps(rows, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def to_toml(config: Config) -> str:
    """The resolved configuration with all sources, as a file that `load_config` reads back unchanged."""
    lines: list[str] = []
    for name, value, _, source in as_flat_rows(config):
        section, _, knob = name.partition(".")
        if f"[{section}]" not in lines:
            lines += ["", f"[{section}]"] if lines else [f"[{section}]"]
        lines.append(f"{knob} = {{ value = {_written(value)}, source = {_written(source)} }}")
    return "\n".join(lines) + "\n"
