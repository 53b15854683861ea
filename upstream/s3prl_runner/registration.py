"""Set the names that S3PRL's stock runner looks up: the upstream `mmpt_av` and PR's corpus.

The runner finds an upstream with `getattr(s3prl.hub, name)` (s3prl/downstream/runner.py:141), and PR's data class with
`from .corpus.libriphone import ...` (s3prl/downstream/ctc/data.py:55), a folder that S3PRL's wheel leaves out. A
registration is therefore an attribute and a search path.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

UPSTREAM = "mmpt_av"
PHONE_CORPUS = Path(__file__).parent / "phone_corpus"


def register(options: dict[str, Any] | None = None) -> None:
    """Make `-u mmpt_av` and `-d ctc` known to S3PRL in this process. Call `repairs.apply()` first.

    `options` of the expert override those of the file that `-g` names (mmpt_av/expert.py).
    """
    import s3prl.downstream.ctc
    import s3prl.hub

    def mmpt_av(ckpt, model_config=None, refresh=False, **kwargs):
        """Load checkpoint `ckpt` behind S3PRL's upstream interface."""
        from mmpt.upstream.mmpt_av.expert import UpstreamExpert

        return UpstreamExpert(ckpt, model_config, refresh, **{**kwargs, **(options or {})})

    setattr(s3prl.hub, UPSTREAM, mmpt_av)
    _keep_phone_workers()
    _find_utterances_quickly()
    search_path = s3prl.downstream.ctc.__path__
    # `corpus` has no __init__.py, in S3PRL's git tree as here: Python joins both folders to one namespace package. Of
    # two modules with the same name it finds S3PRL's, because our folder comes last.
    if str(PHONE_CORPUS) not in search_path:
        search_path.append(str(PHONE_CORPUS))


def _keep_phone_workers() -> None:
    """Give each loader of PR a copy of its configuration.

    The first loader removes `num_workers` from it, and every later one would start 12 processes. Serves
    s3prl/downstream/ctc/data.py:76, and expert.py:14, which may have imported the function already.
    """
    from s3prl.downstream.ctc import data

    if not hasattr(data.load_dataset, "mmpt_original"):
        original = data.load_dataset

        def load_dataset(split, tokenizer, corpus):
            return original(split, tokenizer, dict(corpus))

        vars(load_dataset)["mmpt_original"] = original  # marks what is replaced already
        data.load_dataset = load_dataset
    if expert := sys.modules.get("s3prl.downstream.ctc.expert"):
        vars(expert)["load_dataset"] = data.load_dataset


def _find_utterances_quickly() -> None:
    """Give ASR's data module a `list` that searches in a set. Serves s3prl/downstream/asr/dataset.py:89.

    The module looks for each recording's name in a list, which takes ten minutes for 960 hours.
    """
    from s3prl.downstream.asr import dataset

    dataset.list = _QuickList


class _QuickList(list):
    """A list that does not change after it is made, with a fast `in`."""

    def __contains__(self, item) -> bool:
        if not hasattr(self, "_members"):
            self._members = frozenset(self)
        return item in self._members
