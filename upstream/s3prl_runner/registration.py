"""Names that S3PRL's stock runner looks up, set from outside: the upstream `mmpt_av` and PR's corpus.

The runner finds an upstream with `getattr(s3prl.hub, name)` (s3prl/downstream/runner.py:141) and PR's data
class with `from .corpus.libriphone import ...` (s3prl/downstream/ctc/data.py:55), a package that the wheel
leaves out. An attribute and a search path are therefore all that a registration takes.
"""

from __future__ import annotations

from pathlib import Path

UPSTREAM = "mmpt_av"
PHONE_CORPUS = Path(__file__).parent / "phone_corpus"


def register(options: dict | None = None) -> None:
    """Make `-u mmpt_av` and `-d ctc` known to S3PRL in this process. `repairs.apply()` must have run.

    `options` are the expert's own, above those of the file that `-g` names (mmpt_av/expert.py).
    """
    import s3prl.downstream.ctc
    import s3prl.hub

    def mmpt_av(ckpt, model_config=None, refresh=False, **kwargs):
        """S3PRL's entry point: the encoder of checkpoint `ckpt` behind S3PRL's upstream interface."""
        from mmpt.upstream.mmpt_av.expert import UpstreamExpert

        return UpstreamExpert(ckpt, model_config, refresh, **{**kwargs, **(options or {})})

    setattr(s3prl.hub, UPSTREAM, mmpt_av)
    _keep_phone_workers()
    _find_utterances_quickly()
    search_path = s3prl.downstream.ctc.__path__
    # At the end: an S3PRL installed from its git tree has the package itself, and that one is found first.
    if str(PHONE_CORPUS) not in search_path:
        search_path.append(str(PHONE_CORPUS))


def _keep_phone_workers() -> None:
    """PR's first loader takes `num_workers` out of the configuration, and every later one starts 12 processes.

    Serves s3prl/downstream/ctc/data.py:76 by handing each loader a copy. The name must be replaced
    before s3prl.downstream.ctc.expert imports it.
    """
    from s3prl.downstream.ctc import data

    if not hasattr(data.load_dataset, "mmpt_original"):
        original = data.load_dataset

        def load_dataset(split, tokenizer, corpus):
            return original(split, tokenizer, dict(corpus))

        load_dataset.mmpt_original = original
        data.load_dataset = load_dataset


def _find_utterances_quickly() -> None:
    """ASR asks of each recording whether a list holds its name: ten minutes for LibriSpeech's 960 hours.

    Serves s3prl/downstream/asr/dataset.py:89 by giving the module a `list` that looks into a set.
    """
    from s3prl.downstream.asr import dataset

    dataset.list = _QuickList


class _QuickList(list):
    """A list that is not changed once it is made, and knows at once what it holds."""

    def __contains__(self, item) -> bool:
        if not hasattr(self, "_members"):
            self._members = frozenset(self)
        return item in self._members
