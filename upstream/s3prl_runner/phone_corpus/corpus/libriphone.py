"""The name that s3prl/downstream/ctc/data.py:56 imports."""

from mmpt.upstream.s3prl_runner.phone_corpus.dataset import LibriPhoneDataset

__all__ = ["LibriPhoneDataset"]
