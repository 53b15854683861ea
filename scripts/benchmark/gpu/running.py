"""Run the chosen parts of a check in order, and keep what they measure."""

import argparse
import gc
import os
import platform
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from mmpt.scripts.benchmark.gpu.check import Check, NotHere
from mmpt.scripts.benchmark.gpu.clock import Clock
from mmpt.scripts.benchmark.gpu.page import printed, write_page
from mmpt.scripts.benchmark.gpu.record import Figures, Record
from mmpt.training.device import use_device
from mmpt.upstream.repository import git_revision

if TYPE_CHECKING:
    from mmpt.scripts.benchmark.gpu_check import Item


def run_check(arguments: argparse.Namespace, items: Mapping[str, "Item"], chosen: list[tuple[str, str]]) -> int:
    """Run the parts, write gpu.json and gpu.html, print a table; return 1 if a part failed."""
    clock, device = Clock(60 * arguments.minutes), use_device(arguments.device)
    arguments.out.mkdir(parents=True, exist_ok=True)
    everything = [(name, part) for name, item in items.items() for part in item.parts]
    record = Record(arguments.out / "gpu.json", about(device, arguments.small), everything)
    for name, part in everything:
        if (name, part) not in chosen:
            record.leave_out(name, part, "not asked for (--only)")
    failed = False
    for name, part in chosen:
        item = items[name]
        if clock.left_s < item.seconds / 2 and not arguments.small:
            record.leave_out(name, part, f"no time left: it needs about {item.seconds:.0f} s")
            continue
        clock.start_part(item.seconds)
        print(f"[{60 * arguments.minutes - clock.left_s:4.0f} s] {name} {part}", flush=True)
        folder = Path(tempfile.mkdtemp(prefix="gpu-check-"))
        try:
            failed |= not run_part(record, Check(device, arguments.small, clock, folder), name, part, item.module)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        write_page(record, arguments.out / "gpu.html")
    print(printed(record))
    return int(failed)


def run_part(record: Record, check: Check, name: str, part: str, module: str) -> bool:
    """Measure one part and record it; return False if it failed."""
    started = time.monotonic()
    try:
        figures: Figures = import_module(f"mmpt.scripts.benchmark.gpu.{module}").measure(part, check)
    except NotHere as reason:
        record.leave_out(name, part, str(reason))
        return True
    except Exception as error:  # whatever it is, the other parts are worth the machine's time
        traceback.print_exc(file=sys.stderr)
        record.leave_out(name, part, f"failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
        return False
    finally:
        if check.device.type == "cuda":
            gc.collect()
            torch.cuda.empty_cache()
    record.add(name, part, {**figures, "seconds": round(time.monotonic() - started, 1)})
    return True


def about(device: torch.device, small: bool) -> Figures:
    """Return the machine and the software."""
    libraries = {name: installed(name) for name in ("torch", "torchaudio", "torchvision", "transformers", "numpy")}
    card: Figures = {"card": platform.processor() or platform.machine()}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        card = {
            "card": properties.name,
            "memory_gb": round(properties.total_memory / 1e9, 1),
            "multiprocessors": properties.multi_processor_count,
            "capability": f"{properties.major}.{properties.minor}",
            "cuda": torch.version.cuda,
        }
    return {
        **card,
        "cores": os.cpu_count(),
        "commit": git_revision(),
        "python": platform.python_version(),
        **libraries,
        "small": small,
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }


def installed(name: str) -> str:
    """Return a library's version, "none" if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
