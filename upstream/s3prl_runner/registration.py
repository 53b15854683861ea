"""Set the names that S3PRL's stock runner looks up: the upstreams `mmpt_av` and `hf`, and PR's corpus.

The runner finds an upstream with `getattr(s3prl.hub, name)` (s3prl/downstream/runner.py:141), and PR's data class with
`from .corpus.libriphone import ...` (s3prl/downstream/ctc/data.py:55), a folder that S3PRL's wheel leaves out. A
registration is therefore an attribute and a search path.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from mmpt.upstream.s3prl_runner.other_tasks import prepare_tasks

UPSTREAM = "mmpt_av"
TRANSFORMERS = "hf"  # any speech encoder of the library transformers
CTC_CORPORA = Path(__file__).parent / "ctc_corpora"


def register(options: dict[str, Any] | None = None) -> None:
    """Make `-u mmpt_av`, `-u hf` and `-d ctc` known to S3PRL in this process. Call `repairs.apply()` first.

    `options` of the expert of mmpt_av override those of the file that `-g` names (mmpt_av/expert.py).
    """
    for name, change in WHEN_LOADED.items():
        change(importlib.import_module(name))
    if options:
        add_upstreams(importlib.import_module("s3prl.hub"), options)


def add_upstreams(hub: ModuleType, options: dict[str, Any] | None = None) -> None:
    """Add our upstreams to `s3prl.hub`."""

    def mmpt_av(ckpt=None, model_config=None, refresh=False, **kwargs):
        """Load checkpoint `ckpt`, by default `$MMPT_AV_CKPT`, behind S3PRL's upstream interface."""
        from mmpt.upstream.mmpt_av.expert import UpstreamExpert

        return UpstreamExpert(ckpt, model_config, refresh, **{**kwargs, **(options or {})})

    def hf(ckpt, model_config=None, refresh=False, **kwargs):
        """Load folder or id `ckpt` of transformers behind S3PRL's upstream interface."""
        from mmpt.upstream.transformers_encoder.expert import UpstreamExpert

        return UpstreamExpert(ckpt, model_config, refresh, **kwargs)

    setattr(hub, UPSTREAM, mmpt_av)
    setattr(hub, TRANSFORMERS, hf)


def find_ctc_corpora(ctc: ModuleType) -> None:
    """Let S3PRL find our corpora of phones and slots.

    `corpus` has no __init__.py, in S3PRL's git tree as here: Python joins both folders to one namespace package. Of two
    modules with the same name it finds S3PRL's, because our folder comes last.
    """
    if str(CTC_CORPORA) not in ctc.__path__:
        ctc.__path__.append(str(CTC_CORPORA))


def keep_phone_workers(data: ModuleType) -> None:
    """Give each loader of PR a copy of its configuration.

    The first loader removes `num_workers` from it, and every later one would start 12 processes. Serves
    s3prl/downstream/ctc/data.py:76, and expert.py:14, which may have imported the function already.
    """
    if not hasattr(data.load_dataset, "mmpt_original"):
        original = data.load_dataset

        def load_dataset(split, tokenizer, corpus):
            return original(split, tokenizer, dict(corpus))

        vars(load_dataset)["mmpt_original"] = original  # marks what is replaced already
        vars(data)["load_dataset"] = load_dataset
    if expert := sys.modules.get("s3prl.downstream.ctc.expert"):
        vars(expert)["load_dataset"] = data.load_dataset


def find_utterances_quickly(dataset: ModuleType) -> None:
    """Give ASR's data module a `list` that searches in a set. Serves s3prl/downstream/asr/dataset.py:89.

    The module looks for each recording's name in a list, which takes ten minutes for 960 hours.
    """
    vars(dataset)["list"] = _QuickList


class _QuickList(list):
    """A list that does not change after it is made, with a fast `in`."""

    def __contains__(self, item) -> bool:
        if not hasattr(self, "_members"):
            self._members = frozenset(self)
        return item in self._members


# Module of S3PRL → what to change in it once it is loaded.
WHEN_LOADED: dict[str, Callable[[ModuleType], None]] = {
    "s3prl.hub": add_upstreams,
    "s3prl.downstream.ctc": find_ctc_corpora,
    "s3prl.downstream.ctc.data": keep_phone_workers,
    "s3prl.downstream.asr.dataset": find_utterances_quickly,
    "s3prl.downstream.runner": prepare_tasks,
}
