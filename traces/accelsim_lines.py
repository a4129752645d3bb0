"""Instruction lines of Accel-Sim traces, parsed into columns. `traces.accelsim` explains the format."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from traces.columns import LANES, ranges
from traces.stream import MEMORY_ACCESS, BlockStreams

_MAX_CACHED_LINES = 1 << 20
_MAX_PC = 1 << 24  # bytes; the largest SASS functions seen are a few hundred KiB
_PAIR = 8  # added to the form of LDGSTS, which a raw trace holds twice
_OPCODE = re.compile(r"[A-Z][A-Za-z0-9_.]*")
_REGISTER = re.compile(r"R([0-9]+)")
MASK = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True)
class LineFormat:
    """What the header says about the instruction lines."""

    pc_step: int
    line_numbers: bool  # source line in front of the pc
    immediate: bool  # immediate operand at the end


class Malformed(Exception):
    """A line that does not follow the format; `at` counts lines from the first of the warp."""

    def __init__(self, why: str, at: int = 0):
        super().__init__(why)
        self.at = at


class LineParser:
    """Turns the lines of warps into columns. Repeated lines cost one dictionary look-up each."""

    def __init__(self, line_format: LineFormat, static: dict[int, tuple[Any, ...]]):
        self.static = static  # slot -> (opcode, destinations, sources, width, immediate, source line)
        self.merged = 0  # LDGSTS lines joined with their partner
        self._format = line_format
        self._line: dict[str, int] = {}  # whole line -> code = slot << 32 | mask
        self._head: dict[str, tuple[int, int, int, int]] = {}  # up to the first address -> code, form, lanes, first
        self._rest: dict[tuple[str, str, bool], tuple[int, int]] = {}  # pc and text behind the mask -> slot, form
        self._mask: dict[str, tuple[int, int, int, bool]] = {}
        self._clear()

    def _clear(self) -> None:
        self.code: list[int] = []
        self.warp_end: list[int] = []
        self._record: list[tuple[int, int, int, int, int]] = []  # instruction, rank, base, stride, lanes listed
        self._difference: list[int] = []  # per listed record: first address, then differences

    def add_warp(self, lines: list[str]) -> None:
        codes = list(map(self._line.get, lines))
        if None in codes:
            codes = self._resolve(lines, codes)
        self.code += codes  # type: ignore[arg-type]
        self.warp_end.append(len(self.code))

    def _resolve(self, lines: list[str], codes: list[int | None]) -> list[int | None]:
        """Fill the lines that are not in the dictionary: new ones and those with addresses."""
        first, dropped, i = len(self.code), 0, -1
        try:
            while True:
                try:
                    i = codes.index(None, i + 1)
                except ValueError:
                    break
                head, found, tail = lines[i].partition(" 0x")
                if not found:
                    codes[i] = self._learn(lines[i], whole=True)[0]
                    continue
                code, form, lanes, first_lane = self._head.get(head) or self._learn(head, whole=False)
                pair = form >= _PAIR
                # A raw trace holds LDGSTS once per address: shared destination first, then global source.
                if pair and i and codes[i - 1] == code:
                    codes[i - 1] = -1
                    dropped += 1
                    if lanes:
                        at, _, base, stride, listed = self._record[-1]
                        self._record[-1] = at, 1, base, stride, listed
                codes[i] = code
                self._addresses(tail, first + i - dropped, form % _PAIR, lanes, first_lane)
                if not lanes and not pair:
                    self._line[lines[i]] = code
        except Malformed as error:
            raise Malformed(str(error), i) from None
        except (ValueError, IndexError):
            raise Malformed(f"addresses not understood: {lines[i][:120]!r}", i) from None
        self.merged += dropped
        return [c for c in codes if c != -1] if dropped else codes

    def _addresses(self, tail: str, at: int, form: int, lanes: int, first_lane: int) -> None:
        """Record the addresses after the first ` 0x`."""
        if form == 1 or lanes < 2:
            words = tail.split(None, 3)
            base, stride = int(words[0], 16), int(words[1]) if form == 1 else 0
            extra = words[2:] if form == 1 else words[1:]
            if lanes:
                self._record.append((at, 0, base - first_lane * stride, stride, 0))
        else:
            words = tail.split(None, lanes + 1)
            if form == 2:
                values = [int(words[0], 16), *map(int, words[1:lanes])]
            else:
                address = [int(word, 16) for word in words[:lanes]]
                values = [address[0], *(b - a for a, b in zip(address, address[1:], strict=False))]
            if len(values) != lanes:
                raise Malformed(f"{len(values)} addresses for {lanes} active lanes")
            extra = words[lanes:]
            self._record.append((at, 0, 0, 0, lanes))
            self._difference += values
        if extra and self._format.immediate:
            int(extra.pop(0))
        elif self._format.immediate:
            raise Malformed("the line ends before the immediate")
        if extra and not extra[0].startswith("STORE_DATA"):
            raise Malformed(f"unexpected text after the addresses: {extra[0][:80].strip()!r}")

    def _learn(self, text: str, whole: bool) -> tuple[int, int, int, int]:
        """Parse a line, or its part before the first address, check it against its slot and remember it."""
        try:
            *_, pc, mask_text, rest = text.split(None, 2 + self._format.line_numbers)
            known = self._rest.get((pc, rest, whole))
            if known is None:
                known = self._rest[pc, rest, whole] = self._learn_static(text, pc, rest, whole)
            slot, form = known
            mask, lanes, first_lane, one_run = self._mask.get(mask_text) or self._learn_mask(mask_text)
        except ValueError:
            raise Malformed(f"not an instruction: {text[:120]!r}") from None
        if form % _PAIR == 1 and not one_run:
            raise Malformed(f"base and stride need one run of active lanes, the mask is {mask_text}")
        if whole and form >= 0 and (lanes or form % _PAIR):
            raise Malformed(f"no addresses for {lanes} active lanes")
        code = slot << 32 | mask
        if whole and form < _PAIR:
            self._remember(self._line, text, code)
        elif not whole:
            self._remember(self._head, text, (code, form, lanes, first_lane))
        return code, form, lanes, first_lane

    def _learn_mask(self, text: str) -> tuple[int, int, int, bool]:
        """Mask, active lanes, first active lane (-1 = none), whether they are one run; ValueError if unreadable."""
        if not MASK.fullmatch(text):
            raise ValueError
        mask = int(text, 16)
        first_lane = (mask & -mask).bit_length() - 1
        run = mask >> max(first_lane, 0)
        value = mask, mask.bit_count(), first_lane, not run & (run + 1)
        self._remember(self._mask, text, value)
        return value

    @staticmethod
    def _remember(known: dict[str, Any], text: str, value: Any) -> None:
        if len(known) >= _MAX_CACHED_LINES:
            known.clear()
        known[text] = value

    def _learn_static(self, text: str, pc: str, rest: str, whole: bool) -> tuple[int, int]:
        """Slot and address form (-1 = none, + _PAIR for LDGSTS) of what follows the mask; ValueError if unreadable."""
        word = rest.split()
        try:
            destinations = 1 + int(word[0])
            opcode = word[destinations]
            sources = destinations + 2 + int(word[destinations + 1])
            registers = [_REGISTER.fullmatch(r) for r in word[1:destinations] + word[destinations + 2 : sources]]
            width = int(word[sources])
            word = word[sources + 1 :]
        except IndexError:
            raise ValueError from None
        number = [int(r[1]) if r else 256 for r in registers]
        if destinations < 1 or sources < destinations + 2 or max(number, default=0) > 255 or width < 0:
            raise ValueError
        at = int(pc, 16)
        if not _OPCODE.fullmatch(opcode) or at < 0:
            raise ValueError
        if at % self._format.pc_step or at >= _MAX_PC:
            raise Malformed(f"pc {pc} is no multiple of {self._format.pc_step} bytes below {_MAX_PC:#x}")
        form = -1
        if width:
            form = int(word.pop(0)) if word and word[0].isdigit() else -1
            if form not in (0, 1, 2):
                raise Malformed(f"unknown address form in {text[:120]!r}")
            form += _PAIR * opcode.startswith("LDGSTS")
        elif not whole:
            raise Malformed(f"addresses after memory width 0: {text[:120]!r}")
        immediate = 0
        if whole and self._format.immediate:
            if len(word) != 1 or not word[0].lstrip("-").isdigit():
                raise Malformed(f"expected one immediate at the end: {text[:120]!r}")
            immediate = int(word.pop())
        if word:
            raise Malformed(f"unexpected text at the end: {' '.join(word)[:80]!r}")
        n = destinations - 1
        slot, meaning = at // self._format.pc_step, (opcode, tuple(number[:n]), tuple(number[n:]), width)
        source_line = int(text.split(None, 1)[0]) if self._format.line_numbers else 0
        known = self.static.setdefault(slot, (*meaning, immediate, source_line))
        if known[:4] != meaning or (not width and known[4] != immediate):
            was, now = static_text(known), static_text(meaning)
            raise Malformed(f"pc {pc} is `{now}` here and `{was}` before; a trace must hold one function")
        return slot, form

    def flush(self, first_block: int) -> BlockStreams:
        """Columns of the warps added since the last call. OverflowError: an address needs over 63 bits, a stride 32."""
        code = np.array(self.code, np.int64)
        mask = (code & 0xFFFFFFFF).astype(np.uint32)
        record = np.array(self._record, np.int64).reshape(-1, 5)
        at, rank, base, stride, listed = record.T
        if not _fits_stride(stride).all():
            raise OverflowError
        accesses = np.zeros(len(record), MEMORY_ACCESS)
        accesses["base"], accesses["stride"], accesses["list_at"] = base, stride, -1
        which = np.flatnonzero(listed)
        lane_address = self._expand(accesses, which, mask[at[which]], listed[which])
        order = np.lexsort((rank, at))
        at, accesses = at[order], accesses[order]
        accesses["more"][:-1] = at[1:] == at[:-1]
        access = np.full(len(code), -1, np.int32)
        access[at[::-1]] = np.arange(len(at) - 1, -1, -1)  # the first record of an instruction is written last
        chunk = BlockStreams(
            first_block=first_block,
            warp_start=np.concatenate([[0], np.array(self.warp_end, np.int64)]),
            instruction=(code >> 32).astype(np.int32),
            active_mask=mask,
            access=access,
            accesses=accesses,
            lane_address=lane_address,
        )
        self._clear()
        return chunk

    def _expand(self, accesses: np.ndarray, which: np.ndarray, mask: np.ndarray, count: np.ndarray) -> np.ndarray:
        """Lane addresses of the listed records; those that are affine in the lane become base and stride instead."""
        if not len(which):
            return np.empty(0, np.int64)
        start = np.cumsum(count) - count
        total = np.cumsum(np.array(self._difference, np.int64))
        address = total - np.repeat(np.where(start > 0, total[start - 1], 0), count)
        lane = np.flatnonzero(((mask[:, None] >> np.arange(LANES, dtype=np.uint32)) & 1).ravel()) % LANES
        step = (address[start + 1] - address[start]) // (lane[start + 1] - lane[start])
        expected = np.repeat(address[start] - step * lane[start], count) + np.repeat(step, count) * lane
        affine = np.logical_and.reduceat(expected == address, start) & _fits_stride(step)
        accesses["base"][which[affine]] = (address[start] - step * lane[start])[affine]
        accesses["stride"][which[affine]] = step[affine]
        kept = count[~affine]
        accesses["list_at"][which[~affine]] = np.cumsum(kept) - kept
        return address[ranges(start[~affine], kept)]


def _fits_stride(values: np.ndarray) -> np.ndarray:
    return (values >= np.iinfo(np.int32).min) & (values <= np.iinfo(np.int32).max)


def static_text(static: tuple[Any, ...]) -> str:
    """What a trace tells of an instruction: "LDG.E R4, R2" (opcode, destinations, sources)."""
    opcode, destinations, sources = static[:3]
    return f"{opcode} {', '.join(f'R{r}' if r != 255 else 'RZ' for r in (*destinations, *sources))}".strip()
