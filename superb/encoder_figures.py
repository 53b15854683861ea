"""Figures of an encoder that is not ours, each found in a process of its own: someone's code runs in no other's.

    python -c "from mmpt.superb.encoder_figures import main; main()" rate|cost|states OUT UPSTREAM CKPT CONFIG

CKPT and CONFIG are empty texts for None. OUT gets the answer as JSON.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import torch

from mmpt.superb.cost import Cost, encoder_cost, upstream_cost
from mmpt.superb.encoders import ScoredEncoder
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import CheckpointError, load_encoder
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE
from mmpt.upstream.mmpt_av.expert import read_options
from mmpt.upstream.s3prl_runner.encoder_names import EncoderName

ANSWER = "from mmpt.superb.encoder_figures import main; main()"


def rate(encoder: ScoredEncoder, frame_hop: int | None = None) -> int:
    """Return the samples under a state.

    Args:
        encoder: ours is asked in this process, any other builds its upstream in a new one.
        frame_hop: of the command line, for ours.

    Raises:
        InputError: the encoder cannot be built.
        CheckpointError: a checkpoint of ours cannot be used.
    """
    if encoder.is_ours and encoder.checkpoint:
        return frame_hop or read_options(encoder.config).get("frame_hop") or load_encoder(encoder.checkpoint).hop
    found: int = _ask("rate", encoder.spelled)
    return found


def cost(encoder: ScoredEncoder) -> Cost:
    """Return parameters and MACs. Raises as `rate` does."""
    if encoder.is_ours and encoder.checkpoint:
        return encoder_cost(Path(encoder.checkpoint))
    return Cost(**_ask("cost", encoder.spelled))


def states(encoder: ScoredEncoder) -> int:
    """Return the number of hidden states that S3PRL's featurizer would sum. Raises as `rate` does."""
    if encoder.is_ours and encoder.checkpoint:
        return load_encoder(encoder.checkpoint).config.n_layers + 1
    found: int = _ask("states", encoder.spelled)
    return found


@cache
def _ask(what: str, name: EncoderName):
    """Return the answer of a process that builds the encoder."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder, "answer.json")
        words = [what, str(answer), name.upstream, name.checkpoint or "", name.config or ""]
        command = [sys.executable, "-c", ANSWER, *words]
        no_gpu = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}  # some upstreams would put a part of theirs on it
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=no_gpu
        )
        if not answer.is_file():
            last = (done.stderr.strip().splitlines() or ["no message"])[-1].removeprefix("error: ")
            raise InputError(f"{name.upstream}: its {what} cannot be found: {last}")
        return json.loads(answer.read_text(encoding="utf-8"))


def main() -> None:
    """Answer a question, in a process of its own."""
    what, out, upstream, checkpoint, config = sys.argv[1:]
    from mmpt.upstream.s3prl_runner.building import build

    try:
        built = build(EncoderName(upstream, checkpoint or None, config or None))
    except (InputError, CheckpointError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    rate: Any = built.get_downsample_rates  # mypy takes attributes of modules for tensors
    questions: dict[str, Callable[[], object]] = {
        "rate": lambda: rate("hidden_states"),
        "cost": lambda: asdict(upstream_cost(built)),
        "states": lambda: len(built([torch.zeros(SAMPLE_RATE)])["hidden_states"]),
    }
    answer = questions[what]()
    Path(out).write_text(json.dumps(answer), encoding="utf-8")
