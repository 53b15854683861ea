"""A folder with an `expert.py` of someone's own, as the leaderboard's hidden set wants it: a few lines of code."""

from pathlib import Path

import torch

EXPERT = '''\
"""States of 20 ms: a layer or two over means of samples. Weights come from the checkpoint."""

import torch
from s3prl.upstream.interfaces import UpstreamBase

{imports}


class UpstreamExpert(UpstreamBase):
    def __init__(self, ckpt=None, model_config=None, refresh=False):
        super().__init__()
        self.net = Net()
        if ckpt:
            self.net.load_state_dict(torch.load(ckpt, weights_only=True))

    def get_downsample_rates(self, key):
        return 320

    def forward(self, wavs):
        states = self.net(wavs)
        return {{"hidden_states": [states, 2 * states], "last_hidden_state": 2 * states}}
'''
NET = '''\
import torch
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence


class Net(torch.nn.Module):
    """Normalises by the whole batch, as a careless encoder would: states depend on the other utterances."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(1, 4)

    def forward(self, wavs):
        batch = pad_sequence(wavs, batch_first=True)
        batch = pad(batch, (0, -batch.shape[1] % 320)).unflatten(1, (-1, 320))
        return self.linear(batch.abs().mean(2, keepdim=True)) + batch.std()
'''


def expert_folder(folder: Path, imports: str = "from .net import Net", weights: str | None = "model.pt") -> Path:
    """Write the folder, and weights drawn with a fixed seed."""
    folder.mkdir(parents=True)
    (folder / "expert.py").write_text(EXPERT.format(imports=imports))
    (folder / "net.py").write_text(NET)
    if weights:
        generator = torch.Generator().manual_seed(0)
        state = {"linear.weight": torch.randn(4, 1, generator=generator), "linear.bias": torch.zeros(4)}
        torch.save(state, folder / weights)
    return folder
