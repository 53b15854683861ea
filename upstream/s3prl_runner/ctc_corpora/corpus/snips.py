"""The name that s3prl/downstream/ctc/data.py:53 imports."""

from mmpt.upstream.s3prl_runner.ctc_corpora.slots import SnipsDataset

__all__ = ["SnipsDataset"]
