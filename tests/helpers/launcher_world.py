"""A working directory as `run_downstream.py` sees it, and what is filled in there."""

import re
from argparse import Namespace

from mmpt.upstream.s3prl_runner import arguments, defaults, overrides

from helpers.stock_mocks import superb


def make_world(place):
    """Make a working directory with an encoder, and sample corpora beside it."""
    folder, samples = place / "work", place / "samples"
    (folder / "runs" / "clr").mkdir(parents=True)
    (folder / "runs" / "clr" / "encoder.pt").write_bytes(b"")
    superb(samples)
    return defaults.Surroundings(folder, {}, lambda: samples, lambda: "cpu", read_nothing)


def read_nothing(path):
    raise AssertionError(f"{path} was read")


def with_checkpoint(world, **stored):
    content = {
        "downstream": "asr",
        "upstream": "fbank",
        "upstream_ckpt": None,
        "expdir": "result/downstream/a",
        **stored,
    }
    config = {"runner": {}, "downstream_expert": {"corpus": {}}}

    def read(path):
        return {"Args": Namespace(**content), "Config": config, "Step": int(re.search(r"\d*$", path.stem).group() or 5)}

    return defaults.Surroundings(world.folder, world.environment, world.samples, world.device, read)


def fill(line, world):
    return defaults.fill(arguments.parse(line.split(), "run_downstream.py"), world)


def settings(plan):
    return {key: overrides.value(item) for key, item in overrides.read(plan.values["override"]).items()}


def experiment(world, name, *files):
    folder = world.folder / "result" / "downstream" / name
    folder.mkdir(parents=True)
    for file in files:
        (folder / file).write_bytes(b"")
    return folder
