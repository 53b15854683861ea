"""The hint that an error about an unknown name ends with: "did you mean X?"."""

from mmpt.upstream.mmpt_av.nearest import did_you_mean

__all__ = ["did_you_mean"]
