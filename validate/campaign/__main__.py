"""Measure this machine's NVIDIA GPU with our kernels and clocks: needs nvcc, Python 3.11 or newer, and numpy.

    python -m validate.campaign -o results            # everything, within --budget seconds (480)
    python -m validate.campaign -o results --quick    # small sizes, few clocks: within 170 s
    python -m validate.campaign --build-only --arch 90 --build cache   # compile only; needs no GPU

Run it from the root of the repository. Written to the folder, each file again after every step: kernels.csv (kernel
times; `subcore validate campaign results/kernels.csv -c GPU` reads it as it is), clocks.csv (latencies, intervals,
bandwidths), ncu.csv (Nsight Compute, raw page, where it may read counters), device.json, code/ (the cubins that ran)
and log.txt. Clocks, power limits and modes of the card stay as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from isa.errors import SubcoreError
from validate.campaign.measure import Campaign
from validate.campaign.native import find_tool, query_card

PARTS = ("kernels", "clocks", "ncu")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m validate.campaign", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("campaign"), metavar="DIR")
    parser.add_argument("--quick", action="store_true", help="small sizes and the main clocks")
    parser.add_argument("--only", default=",".join(PARTS), metavar="PART,...", help=f"of {', '.join(PARTS)}")
    parser.add_argument(
        "--kernel", action="append", default=[], metavar="NAME", help="only this kernel; may be repeated"
    )
    parser.add_argument("--budget", type=float, metavar="S", help="seconds for everything (480; 170 with --quick)")
    parser.add_argument("--repeats", type=int, metavar="N", help="timed launches of a point (15; 7 with --quick)")
    parser.add_argument("--arch", type=int, metavar="NN", help="compile for sm_NN (default: the card's)")
    parser.add_argument("--nvcc", metavar="FILE", help="the compiler (default: on the path, or in /usr/local/cuda)")
    parser.add_argument("--build", type=Path, metavar="DIR", help="folder of compiled code, kept and taken again")
    parser.add_argument("--build-only", action="store_true", help="compile and stop")
    parser.add_argument("--runner", metavar="FILE", help=argparse.SUPPRESS)  # tests: a program in the runner's place
    return parser.parse_args()


def main() -> int:
    given = arguments()
    began = time.monotonic()
    parts = [part for part in given.only.split(",") if part]
    if unknown := sorted(set(parts) - set(PARTS)):
        raise SubcoreError(f"--only: no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    nvcc = given.nvcc or find_tool("nvcc")
    if nvcc is None:
        raise SubcoreError("nvcc was not found: put the CUDA toolkit on PATH, or name it with --nvcc")
    architecture = given.arch
    if architecture is None:
        found = query_card("compute_cap")
        if not found:
            raise SubcoreError("no NVIDIA GPU answers (nvidia-smi): name an architecture with --arch and --build-only")
        architecture = int(found[0].replace(".", ""))
    build = given.build or Path(tempfile.gettempdir()) / f"subcore-campaign-{os.getuid()}"
    scratch = Path(tempfile.mkdtemp(prefix="subcore-campaign-"))
    try:
        campaign = Campaign(
            output=given.output,
            build=build,
            scratch=scratch,
            nvcc=nvcc,
            architecture=architecture,
            quick=given.quick,
            kernels=tuple(given.kernel),
            repeats=given.repeats or (7 if given.quick else 15),
            deadline=began + (given.budget or (170 if given.quick else 480)),
            runner=given.runner,
        )
        return campaign.compile(parts) if given.build_only else campaign.run(parts)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    try:
        status = main()
    except SubcoreError as error:
        print(f"Error: {error}", file=sys.stderr)
        status = 1
    except json.JSONDecodeError as error:
        print(f"Error: a program answered with something else than JSON: {error}", file=sys.stderr)
        status = 1
    sys.stdout.flush()
    os._exit(status)  # no waiting for a thread that reads from a program which hangs
