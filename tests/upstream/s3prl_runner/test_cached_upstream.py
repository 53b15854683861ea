"""The cache of any upstream: states alone, read as computed, never those of another encoder; refusals of one line."""

from types import SimpleNamespace

import pytest
import torch

from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner import cached_upstream, repairs, watch
from mmpt.upstream.s3prl_runner.cached_upstream import with_cache
from mmpt.upstream.s3prl_runner.encoder_names import EncoderName

WAVS = [0.1 * torch.randn(n, generator=torch.Generator().manual_seed(n)) for n in (3200, 900, 5000)]
NAME = EncoderName("mock")


class Mock(torch.nn.Module):
    """States of 320 samples that depend on the whole batch, one fewer than S3PRL reads."""

    def __init__(self, layers=2):
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.layers, self.calls = torch.nn.Linear(320, 3), layers, []
        self.register_buffer("scale", torch.ones(1), persistent=False)

    def get_downsample_rates(self, key):
        return 320

    def forward(self, wavs):
        self.calls.append(len(wavs))
        batch = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
        batch = batch[:, : batch.shape[1] // 320 * 320].unflatten(1, (-1, 320))
        states = self.linear(batch * self.scale) + batch.std()
        return {"hidden_states": [states * n for n in range(1, self.layers + 1)], "last_hidden_state": states * 7}


def cached(tmp_path, upstream=None, name=NAME, selection="hidden_states", **options):
    return with_cache(upstream or Mock(), name, {"cache_dir": str(tmp_path / "states"), **options}, selection)


@torch.no_grad()
def states(upstream, wavs=WAVS, selection="hidden_states"):
    return upstream(wavs)[selection]


def test_an_utterance_is_computed_alone_and_once(tmp_path):
    upstream = cached(tmp_path, cache_dtype="float32")
    found = states(upstream)
    assert upstream.upstream.calls == [1, 1, 1] and len(found) == 2
    alone = [states(Mock(), [wav]) for wav in WAVS]
    for row, item in enumerate(alone):
        for layer, mine in zip(found, item, strict=True):
            n = mine.shape[1]
            torch.testing.assert_close(layer[row, :n], mine[0], rtol=0, atol=1e-6)
            assert (layer[row, n:] == layer[row, n - 1]).all()  # padded with the last state, which S3PRL may read
    assert not torch.allclose(alone[1][0][0], states(Mock())[0][1, :2], atol=1e-4)  # the batch would change it
    again = cached(tmp_path, cache_dtype="float32")
    assert all(torch.equal(a, b) for a, b in zip(states(again, WAVS[::-1]), [layer.flip(0) for layer in found]))
    assert again.upstream.calls == [] and (again.cache.read, again.cache.computed) == (3, 0)


@torch.no_grad()
def test_nothing_is_read_that_another_encoder_stored(tmp_path):
    states(cached(tmp_path))
    weights, buffer = Mock(), Mock()
    weights.linear.bias += 1e-6
    buffer.scale += 1e-6
    (tmp_path / "config.yaml").write_text("a: 1")
    others = [
        cached(tmp_path, weights),
        cached(tmp_path, buffer),
        cached(tmp_path, name=EncoderName("another")),
        cached(tmp_path, name=EncoderName("mock", config=str(tmp_path / "config.yaml"))),
        cached(tmp_path, cache_dtype="float32"),
        cached(tmp_path, selection="last_hidden_state"),
    ]
    for other in others:
        other(WAVS)
        assert other.cache.read == 0
    (tmp_path / "config.yaml").write_text("a: 2")
    changed = cached(tmp_path, name=EncoderName("mock", config=str(tmp_path / "config.yaml")))
    states(changed)
    assert changed.cache.read == 0
    same = cached(tmp_path)
    states(same)
    assert same.cache.read == 3


def test_random_crops_are_not_stored(tmp_path):
    upstream = cached(tmp_path)
    loader = type("Loader", (), {"sampler": None, "__len__": lambda self: 1, "__iter__": lambda self: iter([batch])})()
    batch = (WAVS, [0, 0, 0], ["a.wav", f"{watch.RANDOM_CROPS}/b", "c.wav"])
    observer = watch.Watch()
    observer.upstream = upstream
    for wavs, *_ in observer._begin_pass("train", loader):
        states(upstream, wavs)
    assert upstream.cache.computed == 2 and states(upstream) and upstream.cache.read == 2


def test_another_upstreams_own_cache_is_left_alone():
    observer = watch.Watch()
    observer.upstream, loader = SimpleNamespace(cache={}), [1]
    assert observer._begin_pass("train", loader) is loader


def test_what_a_featurizer_selects(tmp_path):
    """One tensor, a dictionary or a tuple, as S3PRL's featurizer takes them."""
    from s3prl.upstream.interfaces import Featurizer

    class Dictionary(Mock):
        def forward(self, wavs):
            answer = super().forward(wavs)
            return {"hidden_states": dict(enumerate(answer["hidden_states"])), "tuple": tuple(answer["hidden_states"])}

    for upstream, selection, layers in ((Mock(), "last_hidden_state", 1), (Dictionary(), "hidden_states", 2)):
        plain = Featurizer(upstream, selection, upstream_device="cpu")
        mine = cached(tmp_path, upstream, selection=selection, cache_dtype="float32")
        featurizer = Featurizer(mine, selection, upstream_device="cpu")
        assert (featurizer.output_dim, featurizer.downsample_rate) == (plain.output_dim, plain.downsample_rate)
        with torch.no_grad():
            wanted = plain(WAVS[:1], upstream(WAVS[:1]))
            found = featurizer(WAVS[:1], mine(WAVS[:1]))
        assert len(states(mine, selection=selection)) == layers
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
    assert len(states(cached(tmp_path, Dictionary(), selection="tuple"), selection="tuple")) == 2


class OddShapes(Mock):
    def forward(self, wavs):
        first, second = super().forward(wavs)["hidden_states"]
        return {"hidden_states": [first, second[:, 1:]]}


def test_refusals(tmp_path):
    with pytest.raises(InputError, match="states of one shape"):
        states(cached(tmp_path, OddShapes()))
    with pytest.raises(InputError, match="-s absent: the upstream has no such states but hidden_states, last"):
        cached(tmp_path, selection="absent")(WAVS)
    with pytest.raises(InputError, match="cache_limit_gb must be a positive"):
        cached(tmp_path, cache_limit_gb=-1)
    upstream = cached(tmp_path)
    with pytest.raises(InputError, match="fine-tune"):
        upstream.train()
    with pytest.raises(InputError, match="fine-tuned"):
        upstream.load_state_dict({})
    assert not upstream.training and not upstream.upstream.training


def test_the_hubs_entry_gets_the_cache(tmp_path, monkeypatch):
    repairs.apply()
    import s3prl.hub

    monkeypatch.setattr(s3prl.hub, "mock", lambda ckpt=None, **options: Mock(), raising=False)
    cached_upstream.install(NAME, {"cache_dir": str(tmp_path / "states")})
    upstream = s3prl.hub.mock(ckpt=None, model_config=None, refresh=False)
    assert upstream.get_downsample_rates("x") == 320 and upstream.layers == 2
    assert not hasattr(upstream, "absent")
    states(upstream)
    assert upstream.cache.computed == 3
