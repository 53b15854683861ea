"""Training steps of our translation model, with and without padding, and of Speech2Text, on the same utterances."""

import argparse
from collections.abc import Callable
from functools import partial

import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from mmpt.midtrain.batches import cut, pad
from mmpt.midtrain.model import TranslationModel, smoothed_loss
from mmpt.midtrain.settings import DecoderSettings
from mmpt.midtrain.vocabulary import BOS, EOS
from mmpt.scripts.benchmark.timing import product_rate, ratios, seconds, spread
from mmpt.scripts.benchmark.translation_peer import Utterance, make_peer, padding_percent, peer_inputs, utterances
from mmpt.training.device import autocast, use_device, uses_bfloat16
from mmpt.training.optimizer import make_optimizer
from mmpt.training.settings import OptimSettings, TrainSettings
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig
from mmpt.upstream.mmpt_av.packing import Packing
from mmpt.upstream.operations import operation_counter
from mmpt.upstream.progress import Progress

SMOOTHING = 0.1


class Contender:
    """A model with its optimiser, and the times (seconds) of its steps.

    Args:
        name: shown beside its figures.
        model: trained in place.
        loss: gives the loss of a batch.
    """

    def __init__(self, name: str, model: torch.nn.Module, loss: Callable[[list[Utterance]], torch.Tensor]):
        self.name, self.model, self.loss = name, model.train(), loss
        self.device = next(model.parameters()).device
        self.settings = TrainSettings(optim=OptimSettings(clip_norm=10.0, weight_decay=0.0, lr=1e-4))
        self.optimizer = make_optimizer(model, self.settings.optim)
        self.times: list[float] = []

    def step(self, batch: list[Utterance]) -> None:
        """Do one step: forward, backward, clipping, optimiser."""
        with autocast(self.settings, self.device):
            loss = self.loss(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.optim.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def flops(self, batch: list[Utterance]) -> int:
        """Count the floating-point operations of a step."""
        with operation_counter() as counter:
            self.step(batch)
        return counter.get_total_flops()


def contenders(arguments: argparse.Namespace, device: torch.device) -> list[Contender]:
    """Make ours without padding, ours with padding, and the peer."""
    config, decoder = EncoderConfig.preset(arguments.preset), DecoderSettings()
    torch.manual_seed(arguments.seed)
    ours = TranslationModel(Encoder(config), arguments.vocabulary, decoder).to(device)
    peer = make_peer(config, decoder, arguments.vocabulary, arguments.peer_layers or config.n_layers, device)

    def our_loss(feats: list[torch.Tensor], batch: list[Utterance]) -> torch.Tensor:
        inputs = pad([[BOS, *u.tokens] for u in batch]).to(device)
        outputs = torch.tensor([token for u in batch for token in (*u.tokens, EOS)], device=device)
        texts = Packing([len(u.tokens) + 1 for u in batch], device)
        answer = ours(*ours.encoder.pack([one.to(device) for one in feats]), inputs, texts)
        return smoothed_loss(answer.logits, outputs, SMOOTHING)[0]

    def padded_loss(batch: list[Utterance]) -> torch.Tensor:
        return our_loss(list(pad_sequence([u.feats for u in batch], batch_first=True)), batch)

    def peer_loss(batch: list[Utterance]) -> torch.Tensor:
        inputs = peer_inputs(batch, device)
        labels = inputs.pop("labels")
        starts = torch.cat([torch.full_like(labels[:, :1], BOS), labels[:, :-1].clamp(min=0)], dim=1)
        logits = peer(**inputs, decoder_input_ids=starts, use_cache=False).logits
        return F.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), label_smoothing=SMOOTHING)

    for name, model in (("ours", ours), ("peer", peer)):
        encoder = ours.encoder if model is ours else peer.model.encoder
        total, its_encoder = (sum(p.numel() for p in part.parameters()) / 1e6 for part in (model, encoder))
        print(f"{name}: {total:.1f} M parameters, {its_encoder:.1f} M of them in the encoder")
    return [
        Contender("ours", ours, lambda batch: our_loss([u.feats for u in batch], batch)),
        Contender("ours, padded", ours, padded_loss),
        Contender(f"Speech2Text ({arguments.peer_layers or config.n_layers} Transformer layers)", peer, peer_loss),
    ]


def compare(order: str, batches: list[list[Utterance]], rivals: list[Contender], rate: float) -> None:
    """Time the contenders in turn on each batch; the first batch is not counted."""
    flops = [rival.flops(batches[0]) for rival in rivals]  # and warm-up
    for rival in rivals:
        rival.times = []
    for batch in Progress(batches[1:], unit="round", desc=order, dynamic_ncols=True):
        for rival in rivals:
            rival.times.append(seconds(partial(rival.step, batch), rival.device))
    frames = [sum(u.frames for u in batch) for batch in batches]
    print(f"\n{order}: {padding_percent(batches):.1f} % of padded features are padding")
    for rival, operations in zip(rivals, flops):
        speeds = [number / time for number, time in zip(frames[1:], rival.times)]
        each = f"{operations / frames[0] / 1e6:.0f} MFLOP a frame of the first batch"
        print(f"  {rival.name}: {spread(speeds)} frames/s, {each}")
    # Of ours alone: for the others, the padding of each batch would be work too.
    share = flops[0] / frames[0] * sum(frames[1:]) / sum(rivals[0].times) / rate
    print(f"  {rivals[0].name}: {100 * share:.0f} % of {rate / 1e12:.3g} TFLOP/s")
    ours = rivals[0]
    for rival, operations in zip(rivals[1:], flops[1:]):
        ratio = spread(ratios(rival.times, ours.times))
        arithmetic = f"arithmetic of the first batch {operations / flops[0]:.2f}"
        print(f"  time of {rival.name} over ours: {ratio}; {arithmetic}")


def benchmark(arguments: argparse.Namespace) -> None:
    """Draw utterances and compare all on them; see translation_step.py for the arguments."""
    torch.set_num_threads(arguments.threads)
    settings = TrainSettings()
    device = use_device(settings.device)
    rivals = contenders(arguments, device)
    rate = product_rate(device, uses_bfloat16(settings, device))
    number = (arguments.rounds + 2) * max(1, arguments.batch_frames // 800)
    drawn = utterances(number, arguments.vocabulary, arguments.seed)
    ordered = cut(sorted(drawn, key=lambda u: u.frames), arguments.batch_frames)
    middle = max(0, (len(ordered) - arguments.rounds - 1) // 2)
    orders = {"random order": cut(drawn, arguments.batch_frames), "like lengths together": ordered[middle:]}
    for order, batches in orders.items():
        compare(order, batches[: arguments.rounds + 1], rivals, rate)
