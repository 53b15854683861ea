"""Checkpointed blocks and layers of stage 2 give the same loss and gradients, with the same dropout."""

import torch

from mmpt.midtrain.model import TranslationModel
from mmpt.midtrain.settings import DecoderSettings
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig
from mmpt.upstream.mmpt_av.packing import Packing
from mmpt.upstream.mmpt_av.recompute import checkpoint_blocks

from helpers.kept import MICRO


def update(checkpointing: bool) -> tuple[torch.Tensor, list[torch.Tensor], int]:
    """Return the loss, the gradients and the number of tensors kept for the backward pass."""
    torch.manual_seed(0)
    settings = DecoderSettings(n_layers=2, n_heads=2, ffn_dim=32, dropout=0.2)
    encoder = Encoder(EncoderConfig(**{**MICRO, "dropout": 0.2}))
    model = TranslationModel(encoder, 20, settings, transcript_size=9).double().train()
    checkpoint_blocks(model, checkpointing)
    frames, texts = Packing([40, 25, 60]), Packing([4, 7, 2])
    feats = torch.randn(frames.total, encoder.config.n_mels, dtype=torch.float64)
    inputs = torch.randint(4, 20, (3, texts.longest))
    kept: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        predictions = model(feats, frames, inputs, texts)
        loss = predictions.logits.square().mean() + predictions.ctc.square().mean()
    loss.backward()
    return loss, [p.grad for p in model.parameters()], len(kept)


def test_gradients_are_the_same():
    loss, gradients, kept = update(checkpointing=True)
    reference, theirs, all_kept = update(checkpointing=False)
    assert torch.equal(loss, reference)
    for ours, gradient in zip(gradients, theirs):
        torch.testing.assert_close(ours, gradient, rtol=1e-9, atol=1e-12)
    assert kept < 0.5 * all_kept
