"""All states against the plain model of transformers, run alone on what its own feature extractor gives."""

import pytest
import torch
from transformers import AutoFeatureExtractor, AutoModel

from helpers.transformers_folders import MODELS

LENGTHS = [16000, 9000, 15999, 4321, 16000, 8850]
RUN_ALONE = ["wav2vec2", "hubert", "wavlm", "data2vec_audio", "sew_d", "sew_d_layer"]


def plain_states(folder, wav: torch.Tensor) -> list[torch.Tensor]:
    """Return the states (T, C) of each layer. The last one is the encoder's output, after its final layer norm."""
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    model.adapter = None
    inputs = AutoFeatureExtractor.from_pretrained(folder)(wav.numpy(), sampling_rate=16000, return_tensors="pt")
    if "whisper" in folder.name:
        return [states[0] for states in model.encoder(**inputs, output_hidden_states=True).hidden_states]
    output = model(**inputs, output_hidden_states=True)
    layers = [states[0] for states in output.hidden_states]
    if "sew_d" in folder.name:
        layers = [states.repeat_interleave(2, dim=0) for states in layers]
        return [*layers, output.last_hidden_state[0, : len(layers[0])]]
    count = int(inputs["attention_mask"].sum()) if folder.name == "wav2vec2_bert" else len(layers[0])
    return [states[:count] for states in [*layers[:-1], output.last_hidden_state[0]]]


@torch.no_grad()
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("samples", [16000, 8850])
def test_states_are_those_of_the_plain_model(name, samples, experts, folders, noise):
    ours = experts[name]([noise(samples)])
    plain = plain_states(folders[name], noise(samples))
    assert len(ours["hidden_states"]) == len(plain) == 4 + name.startswith("sew_d")
    for layer, expected in zip(ours["hidden_states"], plain):
        count = min(len(expected), layer.shape[1])
        assert count >= layer.shape[1] - 3
        torch.testing.assert_close(layer[0, :count], expected[:count], rtol=1e-5, atol=1e-5)
    assert ours["last_hidden_state"] is ours["hidden_states"][-1]
    assert ours["hidden_state_2"] is ours["hidden_states"][2]  # `-s hidden_state_2` of the runner


@torch.no_grad()
@pytest.mark.parametrize("name", MODELS)
def test_an_utterance_has_the_same_states_alone_and_in_a_batch(name, experts, noise):
    batch = experts[name]([noise(samples) for samples in LENGTHS])["hidden_states"]
    for row, samples in enumerate(LENGTHS):
        for layer, alone in zip(batch, experts[name]([noise(samples)])["hidden_states"]):
            torch.testing.assert_close(layer[row, : alone.shape[1]], alone[0], rtol=0, atol=1e-4)
            assert not layer[row, alone.shape[1] :].any()


@torch.no_grad()
@pytest.mark.parametrize("name", MODELS)
def test_the_same_call_gives_the_same_bits(name, experts, noise):
    wavs = [noise(samples) for samples in LENGTHS]
    first, second = (experts[name](wavs)["hidden_states"] for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second))


@torch.no_grad()
@pytest.mark.parametrize("name", RUN_ALONE)
def test_models_that_padding_changes_never_see_any(name, experts, noise):
    """The proof that they have to: forced into one padded batch, an utterance gets other states."""
    encoder = experts[name].encoder
    wavs = [noise(samples) for samples in LENGTHS]
    seen = []
    hook = encoder.model.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append((args[0].shape, kwargs["attention_mask"])), with_kwargs=True
    )
    right = encoder(wavs)
    encoder.one_length = False
    padded = encoder(wavs)
    encoder.one_length = True
    hook.remove()
    *alone, together = seen
    assert [tuple(shape) for shape, _ in alone] == [(2, 16000), (1, 9000), (1, 15999), (1, 4321), (1, 8850)]
    assert all(mask is None for _, mask in alone) and together[1] is not None
    assert max((one[-1] - other[-1]).abs().max() for one, other in zip(right, padded)) > 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_waveforms_that_require_a_gradient_can_train_an_encoder(name, experts, noise):
    """As in S3PRL's own tests of upstreams."""
    wavs = [2 * noise(16000).requires_grad_(), noise(9000).requires_grad_()]
    states = experts[name].train()(wavs)["hidden_states"]
    experts[name].eval()
    sum(layer.square().mean() for layer in states).backward()
    experts[name].zero_grad(set_to_none=True)


@pytest.mark.parametrize("name", MODELS)
def test_fine_tuning_reaches_every_layer(name, experts, noise):
    """SpecAugment and LayerDrop, which these models begin with, change neither states nor their number."""
    expert = experts[name]
    wavs = [noise(16000), noise(9000)]
    with torch.no_grad():
        frozen = expert(wavs)["hidden_states"]
    states = expert.train()(wavs)["hidden_states"]
    expert.eval()
    assert len(states) == len(frozen)
    for one, other in zip(states, frozen):
        torch.testing.assert_close(one, other)
    sum(layer.square().mean() for layer in states).backward()
    layers = expert.encoder.encoder.layers if name == "whisper" else expert.encoder.model.encoder
    weights = [parameter for parameter in layers.parameters() if parameter.dim() == 2]
    assert len(weights) >= 3 * 6 and all(weight.grad.any() for weight in weights)
    expert.zero_grad(set_to_none=True)
