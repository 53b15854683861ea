"""Our beam search and Speech2Text's `generate`, timed on the same utterances."""

import argparse
from functools import partial

import torch

from mmpt.midtrain.batches import cut
from mmpt.midtrain.decode import translate
from mmpt.midtrain.model import TranslationModel
from mmpt.midtrain.settings import DecoderSettings, SearchSettings
from mmpt.midtrain.vocabulary import EOS
from mmpt.scripts.benchmark.timing import ratios, seconds, spread
from mmpt.scripts.benchmark.translation_peer import Utterance, make_peer, padding_percent, peer_inputs, utterances
from mmpt.training.device import autocast, use_device
from mmpt.training.settings import TrainSettings
from mmpt.upstream.mmpt_av import Encoder, EncoderConfig
from mmpt.upstream.progress import Progress

UNLIKELY = -1e4  # added to the logit of EOS: nothing ends before the limit


class Ours:
    """Our model and search."""

    def __init__(self, config: EncoderConfig, arguments: argparse.Namespace, device: torch.device):
        self.name, self.device = "ours", device
        self.model = TranslationModel(Encoder(config), arguments.vocabulary, DecoderSettings()).to(device).eval()
        self.settings = SearchSettings(arguments.beam, max_tokens=arguments.tokens)
        logits = self.model.decoder.logits
        bias = torch.zeros(arguments.vocabulary, device=device)
        bias[EOS] = UNLIKELY
        self.model.decoder.logits = lambda states: logits(states) + bias  # type: ignore[method-assign]

    def encode(self, batch: list[Utterance]) -> None:
        self.model.encode([u.feats.to(self.device) for u in batch])

    def translate(self, batch: list[Utterance]) -> list[int]:
        """Translate; return the lengths of the texts."""
        found = translate(self.model, [u.feats.to(self.device) for u in batch], self.settings)
        return [len(one.tokens) for one in found]


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
        """Translate; return the lengths of the texts. As with ours, EOS comes after the last token."""
        number = self.tokens + 1
        texts = self.model.generate(
            **self.inputs(batch), num_beams=self.beam, min_new_tokens=number, max_new_tokens=number, do_sample=False
        )
        return [texts.shape[1] - 2] * len(texts)  # without BOS and EOS


@torch.no_grad()
def compare(rivals: list[Ours | Peer], batches: list[list[Utterance]], tokens: int) -> None:
    """Time both on each batch in turn, encoders alone and whole; the first batch is not counted."""
    settings = TrainSettings()
    times: dict[tuple[str, str], list[float]] = {
        (part, rival.name): [] for part in ("encode", "translate") for rival in rivals
    }
    for number, batch in enumerate(Progress(batches, unit="batch", desc="translating", dynamic_ncols=True)):
        for part in ("encode", "translate"):
            for rival in rivals:
                lengths: list[list[int]] = []
                with autocast(settings, rival.device):
                    time = seconds(partial(work, rival, part, batch, lengths), rival.device)
                if part == "translate" and lengths != [[tokens] * len(batch)]:
                    raise RuntimeError(
                        f"{rival.name} gave texts of other lengths than {tokens} tokens: not a fair race"
                    )
                if number:
                    times[part, rival.name].append(time)
    print(
        f"{sum(map(len, batches[1:]))} utterances in {len(batches) - 1} batches, {tokens} tokens each, "
        f"{padding_percent(batches[1:]):.1f} % padding, on {rivals[0].device}"
    )
    for rival in rivals:
        speeds = [len(batch) / time for batch, time in zip(batches[1:], times["translate", rival.name])]
        share = 100 * sum(times["encode", rival.name]) / sum(times["translate", rival.name])
        print(f"  {rival.name}: {spread(speeds)} utterances/s, {share:.0f} % of the time in the encoder")
    ours, peer = rivals
    for part, what in (("translate", "whole"), ("encode", "encoder alone")):
        ratio = ratios(times[part, peer.name], times[part, ours.name])
        print(f"  time of {peer.name} over ours, {what}: {spread(ratio)}")
    search = [
        [whole - encoder for whole, encoder in zip(times["translate", rival.name], times["encode", rival.name])]
        for rival in (peer, ours)
    ]
    print(f"  the same, search alone: {spread(ratios(*search))}")


def work(rival: Ours | Peer, part: str, batch: list[Utterance], lengths: list[list[int]]) -> None:
    """Encode or translate a batch; a translation's lengths are appended."""
    if part == "encode":
        rival.encode(batch)
    else:
        lengths.append(rival.translate(batch))


def benchmark(arguments: argparse.Namespace) -> None:
    """Draw utterances and compare both on them; see translating.py for the arguments."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    device, config = use_device("auto"), EncoderConfig.preset(arguments.preset)
    number = (arguments.rounds + 2) * max(1, arguments.batch_frames // 800)
    drawn = utterances(4 * number, arguments.vocabulary, arguments.seed)
    drawn = [u for u in drawn if u.frames > 4 * arguments.tokens][:number]  # a shorter one has a limit of its own
    batches = cut(sorted(drawn, key=lambda u: u.frames), arguments.batch_frames)
    middle = max(0, (len(batches) - arguments.rounds - 1) // 2)
    compare(
        [Ours(config, arguments, device), Peer(config, arguments, device)],
        batches[middle : middle + arguments.rounds + 1],
        arguments.tokens,
    )
