"""S3PRL in anyone's process after `enable()`: its S3PRLUpstream and Featurizer, and what ESPnet does with them."""

import copy
import subprocess
import sys

import pytest
import torch

from mmpt.upstream.mmpt_av import CheckpointError, Encoder, EncoderConfig, save_encoder
from mmpt.upstream.s3prl_runner import enable

from helpers.forked_python import REAL_PYTHON

LENGTHS = [16000, 1, 640, 641, 9999]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(EncoderConfig.preset("tiny")).eval()


@pytest.fixture(scope="module")
def checkpoint(encoder, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("enabled") / "encoder.pt"
    save_encoder(encoder, path, {"stages": []})
    return str(path)


@pytest.fixture(scope="module")
def nn():
    enable()
    import s3prl.nn

    return s3prl.nn


def batch(lengths=LENGTHS) -> tuple[torch.Tensor, torch.Tensor]:
    """Padded waveforms (B, longest) and their lengths (B,); the padding is noise, which nothing may read."""
    generator = torch.Generator().manual_seed(0)
    return 0.1 * torch.randn(len(lengths), max(lengths), generator=generator), torch.tensor(lengths)


def wavs_of(padded, lengths) -> list[torch.Tensor]:
    return [wav[:n] for wav, n in zip(padded, lengths.tolist())]


@torch.no_grad()
@pytest.mark.parametrize("hop", [640, 320])
@pytest.mark.parametrize("training", [False, True])
def test_s3prls_module_gives_the_encoders_states_and_lengths(nn, encoder, checkpoint, hop, training):
    upstream = nn.S3PRLUpstream("mmpt_av", path_or_url=checkpoint, extra_conf={"frame_hop": hop})
    assert (upstream.num_layers, upstream.hidden_sizes, upstream.downsample_rates) == (5, [96] * 5, [hop] * 5)
    upstream.requires_grad_(False).train(training)
    exact = copy.deepcopy(encoder)
    exact.hop = hop
    expected = exact(wavs_of(*batch()))
    for _ in range(2):
        states, lengths = upstream(*batch())
    assert len(states) == len(lengths) == 5
    for one, valid, other in zip(states, lengths, expected.hidden_states):
        assert valid.tolist() == expected.lengths.tolist() == [-(-n // hop) for n in LENGTHS]
        assert one.shape == other.shape and (one - other).abs().max() <= 1e-5


@torch.no_grad()
@pytest.mark.parametrize("selected", [None, [2], [0, 3, 4]])
def test_s3prls_featurizer_weights_the_layers(nn, checkpoint, selected):
    upstream = nn.S3PRLUpstream("mmpt_av", path_or_url=checkpoint).eval()
    featurizer = nn.Featurizer(upstream, layer_selections=selected)
    assert (featurizer.output_size, featurizer.downsample_rate) == (96, 640)
    states, lengths = upstream(*batch())
    if selected == [2]:  # of one layer S3PRL makes a sum, too, and refuses it: it takes the layer from the list
        states, lengths, expected = states[2:3], lengths[2:3], states[2]
    else:
        expected = torch.stack([states[layer] for layer in selected or range(5)]).mean(0)
    found, valid = featurizer(states, lengths)
    assert (found - expected).abs().max() <= 1e-6 and valid.tolist() == lengths[0].tolist()


def test_fine_tuning_through_s3prls_modules_reaches_the_weights(nn, checkpoint):
    upstream = nn.S3PRLUpstream("mmpt_av", path_or_url=checkpoint)
    featurizer = nn.Featurizer(upstream)
    assert upstream.upstream.training  # as S3PRL's constructor leaves it
    featurizer(*upstream(*batch()))[0].square().mean().backward()
    assert all(weight.grad is not None for module in (upstream, featurizer) for weight in module.parameters())


@torch.no_grad()
def test_a_cache_works_through_s3prls_module(nn, checkpoint, tmp_path):
    options = {"cache_dir": str(tmp_path / "states"), "cache_dtype": "float32"}
    plain = nn.S3PRLUpstream("mmpt_av", path_or_url=checkpoint).eval()
    cached = nn.S3PRLUpstream("mmpt_av", path_or_url=checkpoint, extra_conf=options).train()
    for _ in range(2):
        for one, other in zip(cached(*batch())[0], plain(*batch())[0], strict=True):
            assert (one - other).abs().max() <= 1e-5
    assert cached.upstream.cache.read == len(LENGTHS)


def test_mistakes_are_one_line(nn, checkpoint, monkeypatch):
    with pytest.raises(CheckpointError, match="unknown option 'frame_hops'; did you mean frame_hop?"):
        nn.S3PRLUpstream("mmpt_av", path_or_url=checkpoint, extra_conf={"frame_hops": 320})
    monkeypatch.delenv("MMPT_AV_CKPT", raising=False)
    with pytest.raises(CheckpointError, match=r"\$MMPT_AV_CKPT: is not set, and no path"):
        nn.S3PRLUpstream("mmpt_av")
    monkeypatch.setenv("MMPT_AV_CKPT", checkpoint)
    assert nn.S3PRLUpstream("mmpt_av").num_layers == 5


class Frontend(torch.nn.Module):
    """What ESPnet's `frontend: s3prl` does (espnet2/asr/frontend/s3prl.py), in our words.

    Args:
        conf: `frontend_conf` of ESPnet's YAML: upstream, path_or_url, normalize, extra_conf.
        weighted: ESPnet's multilayer_feature.
        layer: one layer; -1 for the last one, or for the weighted sum.
    """

    def __init__(self, nn, conf, weighted=False, layer=-1):
        super().__init__()
        assert conf["upstream"] in nn.S3PRLUpstream.available_names()
        self.upstream = nn.S3PRLUpstream(
            conf["upstream"],
            path_or_url=conf.get("path_or_url"),
            normalize=conf.get("normalize", False),
            extra_conf=conf.get("extra_conf"),
        )
        assert getattr(self.upstream.upstream, "model", None) is None
        self.upstream.eval()
        self.featurizer = nn.Featurizer(self.upstream, layer_selections=None if layer == -1 else [layer])
        self.weighted, self.layer = weighted, layer
        self.pretrained = copy.deepcopy(self.upstream.state_dict())

    def forward(self, padded, lengths):
        states, valid = self.upstream(padded, lengths)
        if self.layer != -1:
            return states[self.layer], valid[self.layer]
        return self.featurizer(states, valid) if self.weighted else self.featurizer(states[-1:], valid[-1:])


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("weighted, layer", [(False, -1), (True, -1), (False, 2)])
def test_what_espnets_front_end_does(nn, encoder, checkpoint, weighted, layer, normalize):
    conf = {"upstream": "mmpt_av", "path_or_url": checkpoint, "normalize": normalize}
    front = Frontend(nn, conf, weighted, layer)
    for name, weight in front.named_parameters():  # freeze_param: [upstream]
        weight.requires_grad = not name.startswith("upstream")
    front.train()
    for _ in range(3):
        found, lengths = front(*batch())
    if weighted:  # ESPnet trains the weights of the sum
        assert [name for name, weight in front.named_parameters() if weight.requires_grad] == ["featurizer.weights"]
        found.square().sum().backward()
    states = list(encoder(wavs_of(*batch())).hidden_states)
    if normalize:
        states = [torch.nn.functional.layer_norm(one, (96,)) for one in states]
    expected = torch.stack(states).mean(0) if weighted else states[layer]
    assert (found - expected).abs().max() <= 1e-5 and lengths.tolist() == [25, 1, 1, 2, 16]
    after = front.upstream.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in front.pretrained.items())
    front.upstream.load_state_dict(front.pretrained)  # reload_pretrained_parameters


def test_enabling_again_registers_again(nn, checkpoint, monkeypatch):
    import s3prl.hub

    monkeypatch.delattr(s3prl.hub, "mmpt_av")
    monkeypatch.delattr(s3prl.hub, "hf")
    finders = len(sys.meta_path)
    enable()
    assert {"mmpt_av", "hf"} <= {*nn.S3PRLUpstream.available_names()} and len(sys.meta_path) == finders
    assert s3prl.hub.mmpt_av(checkpoint).encoder.hop == 640


LATE = """
import sys
import s3prl  # no part of it is loaded yet
from mmpt.upstream.s3prl_runner import enable
enable()
assert "s3prl.hub" not in sys.modules
from s3prl.nn import S3PRLUpstream
assert S3PRLUpstream("mmpt_av", path_or_url=sys.argv[1]).num_layers == 5
assert "s3prl.downstream.ctc" not in sys.modules, "no task is needed"
import s3prl.downstream.ctc.corpus.libriphone, s3prl.downstream.asr.dataset
assert s3prl.downstream.asr.dataset.list is not list
"""


@pytest.mark.slow
def test_registrations_wait_for_the_parts_that_they_concern(checkpoint):
    done = subprocess.run([REAL_PYTHON, "-c", LATE, checkpoint], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
