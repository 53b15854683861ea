"""Times our beam search against `generate` of Hugging Face's Speech2Text model of the same sizes, with the same beam, on the same utterances,
batch by batch in turn in one process. Weights and features are random; every text is made to have the same number of tokens, in both.

Lengths are drawn to have LibriSpeech's mean and spread; batches hold utterances of like length. The peer's encoder is a Transformer.
"""

import argparse
import sys

import torch
from tqdm import tqdm

from mmpt.midtrain.batches import cut
from mmpt.midtrain.decode import translate
from mmpt.midtrain.model import TranslationModel
from mmpt.midtrain.settings import DecoderSettings, SearchSettings
from mmpt.midtrain.vocabulary import EOS
from mmpt.scripts.benchmark.timing import ratios, seconds, spread
from mmpt.scripts.benchmark.translation_peer import Utterance, make_peer, padding_percent, peer_inputs, utterances
from mmpt.training.device import autocast, use_device
from mmpt.training.settings import TrainSettings
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig
from mmpt.upstream.mmpt_av.config import PRESETS

UNLIKELY = -1e4  # added to the logit of EOS: nothing ends before the limit

EXAMPLES = """\
examples:
  python scripts/benchmark/translating.py                                     on the CPU some minutes
  python scripts/benchmark/translating.py --batch-frames 40000 --rounds 10    on a GPU (bfloat16)
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
        "--batch-frames",
        type=int,
        default=20_000,
        metavar="N",
        help="frames of speech in a batch (default: %(default)s)",
    )
    p.add_argument("--rounds", type=int, default=3, help="timed batches, after one that is not (default: %(default)s)")
    p.add_argument("--beam", type=int, default=5, metavar="K", help="(default: %(default)s)")
    p.add_argument("--tokens", type=int, default=40, metavar="N", help="of each text (default: %(default)s)")
    p.add_argument("--vocabulary", type=int, default=8000, metavar="N", help="sub-words (default: %(default)s)")
    p.add_argument("--threads", type=int, default=2, help="of the processor (default: %(default)s)")
    p.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    return p


class Ours:
    """Our model and search."""

    def __init__(self, config: EncoderConfig, arguments: argparse.Namespace, device: torch.device):
        self.name, self.device = "ours", device
        self.model = TranslationModel(Encoder(config), arguments.vocabulary, DecoderSettings()).to(device).eval()
        self.settings = SearchSettings(arguments.beam, max_tokens=arguments.tokens)
        logits = self.model.decoder.logits
        bias = torch.zeros(arguments.vocabulary, device=device).index_fill(
            0, torch.tensor([EOS], device=device), UNLIKELY
        )
        self.model.decoder.logits = lambda states: logits(states) + bias

    def encode(self, batch: list[Utterance]) -> None:
        self.model.encode([u.feats.to(self.device) for u in batch])

    def translate(self, batch: list[Utterance]) -> list[int]:
        """Lengths of the texts."""
        return [
            len(found.tokens)
            for found in translate(self.model, [u.feats.to(self.device) for u in batch], self.settings)
        ]


class Peer:
    """Speech2Text and its `generate`."""

    def __init__(self, config: EncoderConfig, arguments: argparse.Namespace, device: torch.device):
        self.name, self.device, self.beam, self.tokens = "Speech2Text", device, arguments.beam, arguments.tokens
        self.model = make_peer(config, DecoderSettings(), arguments.vocabulary, config.n_layers, device).eval()

    def inputs(self, batch: list[Utterance]) -> dict:
        inputs = peer_inputs(batch, self.device)
        del inputs["labels"]
        return inputs

    def encode(self, batch: list[Utterance]) -> None:
        self.model.model.encoder(**self.inputs(batch))

    def translate(self, batch: list[Utterance]) -> list[int]:
        """Lengths of the texts; as with ours, EOS comes after the last token."""
        number = self.tokens + 1
        texts = self.model.generate(
            **self.inputs(batch), num_beams=self.beam, min_new_tokens=number, max_new_tokens=number, do_sample=False
        )
        return [texts.shape[1] - 2] * len(texts)  # without BOS, and without the last, which is in EOS's place


@torch.no_grad()
def compare(rivals: list[Ours | Peer], batches: list[list[Utterance]], tokens: int) -> None:
    """Both on each batch in turn, encoders alone and whole; the first batch is not counted."""
    settings = TrainSettings()
    times = {(part, rival.name): [] for part in ("encode", "translate") for rival in rivals}
    for number, batch in enumerate(tqdm(batches, unit="batch", desc="translating", dynamic_ncols=True)):
        for part in ("encode", "translate"):
            for rival in rivals:
                lengths: list[int] = []

                def work(rival=rival, part=part, batch=batch, lengths=lengths) -> None:
                    lengths += getattr(rival, part)(batch) or []

                with autocast(settings, rival.device):
                    time = seconds(work, rival.device)
                if part == "translate" and lengths != [tokens] * len(batch):
                    raise RuntimeError(
                        f"{rival.name} gave texts of {sorted(set(lengths))} tokens, not {tokens}: the comparison would not be fair"
                    )
                if number:
                    times[part, rival.name].append(time)
    print(
        f"{sum(map(len, batches[1:]))} utterances in {len(batches) - 1} batches, {tokens} tokens each, {padding_percent(batches[1:]):.1f} % padding, on {rivals[0].device}"
    )
    for rival in rivals:
        speeds = [len(batch) / time for batch, time in zip(batches[1:], times["translate", rival.name])]
        share = 100 * sum(times["encode", rival.name]) / sum(times["translate", rival.name])
        print(f"  {rival.name}: {spread(speeds)} utterances/s, {share:.0f} % of the time in the encoder")
    ours, peer = rivals
    for part, what in (("translate", "whole"), ("encode", "encoder alone")):
        print(
            f"  time of {peer.name} over ours, {what}: {spread(ratios(times[part, peer.name], times[part, ours.name]))}"
        )
    decoding = [
        [whole - encoder for whole, encoder in zip(times["translate", rival.name], times["encode", rival.name])]
        for rival in (peer, ours)
    ]
    print(f"  the same, search alone: {spread(ratios(*decoding))}")


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    arguments = parser().parse_args(argv)
    for name in ("batch_frames", "rounds", "beam", "tokens", "threads"):
        if getattr(arguments, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} must be at least 1, not {getattr(arguments, name)}")
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    device, config = use_device("auto"), EncoderConfig.preset(arguments.preset)
    number = (arguments.rounds + 2) * max(1, arguments.batch_frames // 800)
    drawn = [
        u for u in utterances(4 * number, arguments.vocabulary, arguments.seed) if u.frames > 4 * arguments.tokens
    ][:number]  # or their own limit would count
    batches = cut(sorted(drawn, key=lambda u: u.frames), arguments.batch_frames)
    middle = max(0, (len(batches) - arguments.rounds - 1) // 2)
    compare(
        [Ours(config, arguments, device), Peer(config, arguments, device)],
        batches[middle : middle + arguments.rounds + 1],
        arguments.tokens,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
