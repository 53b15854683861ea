"""The name that s3prl/downstream/ctc/data.py:56 imports."""

from mmpt.upstream.s3prl_runner.ctc_corpora.phones import LibriPhoneDataset

__all__ = ["LibriPhoneDataset"]
