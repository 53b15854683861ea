"""The one function of editdistance that S3PRL calls, from rapidfuzz, which has wheels for more systems and Pythons.

It serves s3prl/downstream/ctc/metric.py:3 (PR), s3prl/downstream/asr/expert.py:4 and s3prl/metric/common.py:12.
"""

from rapidfuzz.distance.Levenshtein import distance as eval

__all__ = ["eval"]
