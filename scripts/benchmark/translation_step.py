"""Times a training step of stage 2 against Hugging Face's Speech2Text model of the same sizes, whose encoder is a Transformer, and our
model without padding against the same model on padded features; all on the same utterances, step by step in turn in one process.

The features are noise. Lengths are drawn to have LibriSpeech's mean and spread. Batches are cut from utterances in random order, and in the
order of their lengths as in training.
"""

import argparse
import sys
from collections.abc import Callable

import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from mmpt.midtrain.batches import cut, pad
from mmpt.midtrain.model import TranslationModel, smoothed_loss
from mmpt.midtrain.settings import DecoderSettings
from mmpt.midtrain.vocabulary import BOS, EOS
from mmpt.scripts.benchmark.timing import product_rate, ratios, seconds, spread
from mmpt.scripts.benchmark.translation_peer import Utterance, make_peer, padding_percent, peer_inputs, utterances
from mmpt.training.device import autocast, use_device, uses_bfloat16
from mmpt.training.optimizer import make_optimizer
from mmpt.training.settings import OptimSettings, TrainSettings
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig
from mmpt.upstream.mmpt_av.config import PRESETS

SMOOTHING = 0.1

EXAMPLES = """\
examples:
  python scripts/benchmark/translation_step.py                                    on the CPU some minutes
  python scripts/benchmark/translation_step.py --peer-layers 32                   a peer of about our encoder's arithmetic
  python scripts/benchmark/translation_step.py --batch-frames 40000 --rounds 20   on a GPU (bfloat16)
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--preset", choices=sorted(PRESETS), default="base", help="sizes of the encoder (default: %(default)s)"
    )
    p.add_argument(
        "--batch-frames", type=int, default=8000, metavar="N", help="frames of speech in a batch (default: %(default)s)"
    )
    p.add_argument(
        "--rounds", type=int, default=5, help="timed steps of each, after one that is not (default: %(default)s)"
    )
    p.add_argument("--peer-layers", type=int, metavar="N", help="of the peer's encoder (default: as many as ours)")
    p.add_argument("--vocabulary", type=int, default=8000, metavar="N", help="sub-words (default: %(default)s)")
    p.add_argument("--threads", type=int, default=2, help="of the processor (default: %(default)s)")
    p.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    return p


class Contender:
    """A model with its optimiser, and the times (seconds) of its steps.

    Args:
        loss: of the model and a batch.
    """

    def __init__(self, name: str, model: torch.nn.Module, loss: Callable[[list[Utterance]], torch.Tensor]):
        self.name, self.model, self.loss = name, model.train(), loss
        self.device = next(model.parameters()).device
        self.settings = TrainSettings(optim=OptimSettings(clip_norm=10.0, weight_decay=0.0, lr=1e-4))
        self.optimizer = make_optimizer(model, self.settings.optim)
        self.times: list[float] = []

    def step(self, batch: list[Utterance]) -> None:
        """Forward, backward, clipping, optimiser."""
        with autocast(self.settings, self.device):
            loss = self.loss(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.optim.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def flops(self, batch: list[Utterance]) -> int:
        """Floating-point operations of a step."""
        with FlopCounterMode(display=False) as counter:
            self.step(batch)
        return counter.get_total_flops()


def contenders(arguments: argparse.Namespace, device: torch.device) -> list[Contender]:
    """Ours without padding, ours with padding, the peer."""
    config, decoder = EncoderConfig.preset(arguments.preset), DecoderSettings()
    torch.manual_seed(arguments.seed)
    ours = TranslationModel(Encoder(config), arguments.vocabulary, decoder).to(device)
    peer = make_peer(config, decoder, arguments.vocabulary, arguments.peer_layers or config.n_layers, device)

    def our_loss(feats: list[torch.Tensor], batch: list[Utterance]) -> torch.Tensor:
        inputs, outputs = (
            pad([[BOS, *u.tokens] for u in batch]).to(device),
            pad([[*u.tokens, EOS] for u in batch]).to(device),
        )
        said = ours([one.to(device) for one in feats], inputs, outputs)
        return smoothed_loss(said.logits, said.tokens, SMOOTHING)[0]

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
        Contender(
            "ours, padded",
            ours,
            lambda batch: our_loss(list(pad_sequence([u.feats for u in batch], batch_first=True)), batch),
        ),
        Contender(f"Speech2Text ({arguments.peer_layers or config.n_layers} Transformer layers)", peer, peer_loss),
    ]


def compare(order: str, batches: list[list[Utterance]], rivals: list[Contender], rate: float) -> None:
    """Rounds on batches, each contender in turn on the same one; the first round is not counted."""
    flops = [rival.flops(batches[0]) for rival in rivals]  # and warm-up
    for rival in rivals:
        rival.times = []
    for batch in tqdm(batches[1:], unit="round", desc=order, dynamic_ncols=True):
        for rival in rivals:
            rival.times.append(seconds(lambda rival=rival, batch=batch: rival.step(batch), rival.device))
    frames = [sum(u.frames for u in batch) for batch in batches]
    print(f"\n{order}: {padding_percent(batches):.1f} % of padded features are padding")
    for rival, operations in zip(rivals, flops):
        speeds = [number / time for number, time in zip(frames[1:], rival.times)]
        print(
            f"  {rival.name}: {spread(speeds)} frames/s, {operations / frames[0] / 1e6:.0f} MFLOP a frame of the first batch"
        )
    share = (
        flops[0] / frames[0] * sum(frames[1:]) / sum(rivals[0].times) / rate
    )  # ours alone: of the others the padding of each batch would count
    print(f"  {rivals[0].name}: {100 * share:.0f} % of {rate / 1e12:.3g} TFLOP/s")
    ours = rivals[0]
    for rival, operations in zip(rivals[1:], flops[1:]):
        print(
            f"  time of {rival.name} over ours: {spread(ratios(rival.times, ours.times))}; arithmetic of the first batch {operations / flops[0]:.2f}"
        )


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    arguments = parser().parse_args(argv)
    for name in ("batch_frames", "rounds", "threads"):
        if getattr(arguments, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} must be at least 1, not {getattr(arguments, name)}")
    torch.set_num_threads(arguments.threads)
    settings = TrainSettings()
    device = use_device(settings.device)
    rivals = contenders(arguments, device)
    rate = product_rate(device, uses_bfloat16(settings, device))
    drawn = utterances(
        (arguments.rounds + 2) * max(1, arguments.batch_frames // 800), arguments.vocabulary, arguments.seed
    )
    ordered = cut(sorted(drawn, key=lambda u: u.frames), arguments.batch_frames)
    middle = max(0, (len(ordered) - arguments.rounds - 1) // 2)
    for order, batches in (
        ("random order", cut(drawn, arguments.batch_frames)),
        ("like lengths together", ordered[middle:]),
    ):
        compare(order, batches[: arguments.rounds + 1], rivals, rate)
    return 0


if __name__ == "__main__":
    sys.exit(main())
