"""Probe the states of encoders for phones: S3PRL's phone recognition (PR), with a head on one layer alone.

The head is PR's own, linear layers and CTC, so its phone error rate (PER) says how much of the phones can be read from
a layer without further computation. Each layer has its own head, whose learning rate is chosen on dev from one grid.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mmpt.superb.encoder_figures import states
from mmpt.superb.encoders import ScoredEncoder
from mmpt.superb.executor import Executor, execute
from mmpt.superb.jobs import Job, make_jobs
from mmpt.superb.options import Options
from mmpt.superb.selection import choose, dev_score
from mmpt.superb.statistics.comparison import compare
from mmpt.superb.statistics.holm import correct
from mmpt.superb.statistics.reading import read_items
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text
from mmpt.upstream.statistics.intervals import interval
from mmpt.upstream.statistics.items import Items

FILE = "phone_probe.json"
TASK, SPLIT, METRIC = "pr", "test", "per"


@dataclass(frozen=True)
class Layer:
    """A layer of an encoder, and what its head scored. Rates are shares.

    Args:
        layer: 0 is the input of the first block.
        dev_per: of the head with the chosen learning rate.
        low: of the 95 % interval of `per`, over speakers.
        high: likewise.
    """

    encoder: str
    layer: int
    lr: float
    dev_per: float
    per: float
    low: float
    high: float
    method: str
    utterances: int


def probe(
    encoders: Sequence[ScoredEncoder],
    rates: list[str | None],
    seed: int,
    out: Path,
    options: Options,
    executor: Executor,
    at_a_time: int,
    layers: Sequence[int] = (),
    fresh: bool = False,
) -> dict:
    """Train and test a head on each layer; write phone_probe.json to `out`, and return its content.

    What is done is left alone, so the same call resumes after an interruption.

    Args:
        encoders: the first one is what the others are compared with, each at the layer that is best on dev.
        rates: learning rates that dev chooses from.
        seed: of the heads.
        out: folder of the results.
        options: of the heads, without a layer.
        executor: runs the jobs.
        at_a_time: jobs.
        layers: those to probe; all if it is empty. Those that an encoder lacks are left out.
        fresh: delete what these jobs left in `out` first.

    Raises:
        InputError: an encoder has none of the layers, or a job failed.
    """
    jobs = {
        (encoder.name, layer): make_jobs(
            [TASK], [encoder], rates, [seed], out / f"layer{layer}", replace(options, layer=layer)
        )
        for encoder in encoders
        for layer in layers_of(encoder, layers)
    }
    every = [job for group in jobs.values() for job in group]
    for job in every:
        if fresh:
            shutil.rmtree(job.folder, ignore_errors=True)
        job.prepare()
    failed = execute(every, False, executor, at_a_time, "train")
    best = {key: choose(group) for key, group in jobs.items()}
    failed += execute([job for chosen in best.values() for job in chosen], True, executor, at_a_time, "test")
    if failed:
        raise InputError(f"{len(failed)} jobs failed, the first of them {failed[0].name}: see {failed[0].folder}")
    items = {key: read_items(chosen[0].folder / "experiment", TASK, SPLIT)[METRIC] for key, chosen in best.items()}
    found = [scored(*key, chosen[0], items[key]) for key, chosen in best.items()]
    content = {
        "steps": every[0].steps,
        "rates": rates,
        "seed": seed,
        "layers": [asdict(layer) for layer in found],
        "comparisons": comparisons(found, items),
    }
    write_text(out / FILE, json.dumps(content, indent=2) + "\n")
    return content


def layers_of(encoder: ScoredEncoder, wanted: Sequence[int]) -> list[int]:
    """Return the layers to probe of an encoder. Raises InputError if it has none of those that are wanted."""
    number = states(encoder)
    found = [layer for layer in range(number) if not wanted or layer in wanted]
    if not found:
        raise InputError(f"{encoder.name}: has layers 0 to {number - 1}, and none of those that --layers names")
    return found


def scored(encoder: str, layer: int, job: Job, items: Items) -> Layer:
    """Return what a layer's head scored."""
    ends, lr = interval(items), job.config["optimizer"]["lr"]
    return Layer(encoder, layer, lr, dev_score(job), items.score, ends.low, ends.high, ends.method, len(items.ids))


def comparisons(layers: Sequence[Layer], items: dict[tuple[str, int], Items]) -> list[dict]:
    """Compare each encoder with the first one, both at the layer that is best on dev; p is corrected by Holm."""
    best: dict[str, Layer] = {}
    for layer in layers:
        if layer.encoder not in best or layer.dev_per < best[layer.encoder].dev_per:
            best[layer.encoder] = layer
    baseline, *others = best.values()
    rows = []
    for other in others:
        first, second = (items[one.encoder, one.layer] for one in (baseline, other))
        names = {"baseline": baseline.encoder, "encoder": other.encoder, "layers": [baseline.layer, other.layer]}
        rows.append(names | asdict(compare(first, second)))
    correct(rows)
    return rows
