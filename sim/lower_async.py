"""Which instructions go to the mbarriers, the copy engine and the cluster, and what they ask of them."""

from __future__ import annotations

import re

from isa.errors import SubcoreError
from isa.program import NO_COUNTER, Flag, MemorySpace
from sim.async_state import Async, Trait
from sim.state import Path

PHASE_BARRIERS = frozenset({"SYNCS", "ARRIVES"})
_COPIES = {
    "UTMALDG": Async.LOAD,
    "UTMASTG": Async.STORE,
    "UTMAREDG": Async.REDUCE,
    "UBLKRED": Async.REDUCE,
    "UTMAPF": Async.PREFETCH,
    "UBLKPF": Async.PREFETCH,
}
BULK_COPIES = frozenset({"UBLKCP", "UTMACCTL", *_COPIES})
_CLUSTER_TRAITS = {
    "UCGABAR_ARV": Trait.CLUSTER_ARRIVE,
    "UCGABAR_WAIT": Trait.CLUSTER_WAIT,
    "USETMAXREG": Trait.SET_REGISTERS,
}


def request_of(record, mnemonic: str, text: str) -> Async:
    """What a memory instruction asks of the parts beside the L1; NONE for most."""
    modifiers = text.split(" ")[0 if not text.startswith("@") else 1].split(".")[1:] if text else []
    if mnemonic == "ARRIVES":
        return Async.ARRIVE_COPIES
    if mnemonic == "SYNCS":
        for modifier, request in (("EXCH", Async.INIT), ("ARRIVE", Async.ARRIVE), ("TRYWAIT", Async.WAIT)):
            if modifier in modifiers:
                return request
        return Async.NONE  # a test is as the trace says; it does not wait
    if mnemonic == "UBLKCP":
        return {"S.G": Async.LOAD, "G.S": Async.STORE}.get(".".join(modifiers[:2]), Async.TO_CLUSTER)
    if mnemonic in ("STAS", "REDAS"):
        return Async.REMOTE_STORE
    if mnemonic in _COPIES:
        return _COPIES[mnemonic]
    return Async.GENERIC if record["space"] == MemorySpace.GENERIC else Async.NONE


def map_dimensions(text: str) -> int:
    """Dimensions of the tensor map that a bulk copy works from; 0 = none."""
    found = re.search(r"\bUTMA\w+(?:\.\w+)*?\.([1-5])D\b", text)
    return int(found[1]) if found else 0


def set_traits(target, record, mnemonic: str, text: str) -> None:
    """Cluster barriers, USETMAXREG, and the commit of bulk stores, which counts on the read counter it names."""
    if mnemonic == "UTMACMDFLUSH":
        target["path"] = Path.FIXED
        target["variable_latency"] = 0
        target["traits"] |= int(Flag.COPY_COMMIT)
        target["commits_copies"] = 1
        counter = int(record["read_counter"])
        target["write_counter"] = 0 if counter == NO_COUNTER else counter
        target["read_counter"] = NO_COUNTER
    if mnemonic in _CLUSTER_TRAITS:
        target["traits"] |= int(_CLUSTER_TRAITS[mnemonic])
    if mnemonic == "USETMAXREG":
        found = re.findall(r"0x([0-9a-fA-F]+)\s*;?$|\b(\d+)\s*;?$", text.strip())
        if not found:
            raise SubcoreError(f"{text or mnemonic}: no number of registers that USETMAXREG is to leave")
        target["barrier_threads"] = int(found[0][0], 16) if found[0][0] else int(found[0][1])
