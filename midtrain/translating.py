"""Translate splits and sound files with a trained model."""

import json
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from mmpt.midtrain.batches import cut
from mmpt.midtrain.corpus import open_corpus
from mmpt.midtrain.decode import translate
from mmpt.midtrain.scoring import example_table, score_translations
from mmpt.midtrain.segments import Segment, read_wav
from mmpt.midtrain.settings import SearchSettings
from mmpt.midtrain.trained import TrainedModel
from mmpt.training.device import autocast
from mmpt.training.media import MediaError
from mmpt.training.media_sound import decode_whole
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE
from mmpt.upstream.mmpt_av.layout import speech_frames
from mmpt.upstream.progress import Progress

FILES = ("hypotheses.txt", "references.txt", "scores.json", "examples.md")


def refuse_to_overwrite(out: Path) -> None:
    """Raise InputError if `out` holds one of FILES."""
    if there := [name for name in FILES if (out / name).exists()]:
        raise InputError(f"{out / there[0]}: is there already; --fresh overwrites it, --out names another folder")


def translate_split(
    trained: TrainedModel, root: Path, name: str, search: SearchSettings, batch_frames: int, out: Path
) -> None:
    """Translate and score a split; write FILES into `out` and print the scores.

    Args:
        trained: the model.
        root: of the corpus (see open_corpus).
        name: of the split.
        search: settings of the beam search.
        batch_frames: frames of speech in a batch.
        out: the folder for the files.

    Raises:
        InputError: there is no such corpus or split, or a segment is unreadable.
    """
    settings = trained.settings
    corpus = open_corpus(root, settings.language, settings.data.max_frames)
    split = corpus.read(name)
    print(f"{corpus.name}, {split.describe()}")
    started = time.monotonic()
    hypotheses = translate_segments(trained, split.segments, search, batch_frames)
    seconds = time.monotonic() - started
    references = [s.target for s in split.segments]
    scores = score_translations(hypotheses, references, settings.language, with_intervals=True)
    about = {
        "split": name,
        "corpus": corpus.name,
        "language": settings.language,
        "segments": len(hypotheses),
        "bleu": scores.bleu,
        "chrf": scores.chrf,
        "bleu_interval": scores.intervals.get("BLEU"),
        "chrf_interval": scores.intervals.get("chrF"),
        "signatures": scores.signatures,
        "beam": search.beam,
        "length_penalty": search.length_penalty,
        "max_tokens": search.max_tokens,
        "averaged_steps": trained.steps,
        "seconds": round(seconds, 3),
        "utterances_per_s": len(hypotheses) / seconds,
        "provenance": trained.provenance,
    }
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "hypotheses.txt", "".join(line + "\n" for line in hypotheses))
    write_text(out / "references.txt", "".join(line + "\n" for line in references))
    title = (
        f"{corpus.name}, {split.name}: beam {search.beam}, length penalty {search.length_penalty:g}, "
        f"weights of steps {', '.join(map(str, trained.steps))}"
    )
    write_text(out / "examples.md", example_table(title, scores, split.segments, hypotheses))
    write_text(out / "scores.json", json.dumps(about, indent=1) + "\n")
    print(f"{len(hypotheses) / seconds:.1f} utterances/s; {title}", *scores.lines, sep="\n")
    print(f"Written: {', '.join(str(out / name) for name in FILES)}")


def translate_segments(
    trained: TrainedModel, segments: list[Segment], search: SearchSettings, batch_frames: int
) -> list[str]:
    """Return translations in the order of the segments.

    The longest segments come first: if memory is too small, this shows at the start.
    """
    batches = cut(sorted(segments, key=lambda s: (-s.frames, s.id)), batch_frames)
    texts: dict[str, str] = {}
    with Progress(total=len(segments), unit="utterance", desc="translating", dynamic_ncols=True) as bar:
        for batch in batches:
            texts.update(zip((s.id for s in batch), translate_wavs(trained, [read_wav(s) for s in batch], search)))
            bar.update(len(batch))
    return [texts[s.id] for s in segments]


@torch.no_grad()
def translate_wavs(trained: TrainedModel, wavs: list[Tensor], search: SearchSettings) -> list[str]:
    """Return translations of one batch of waveforms (samples,) in [-1, 1]."""
    model = trained.model
    device = next(model.parameters()).device
    with autocast(trained.settings, device):
        found = translate(model, model.encoder.filterbank.separate([wav.to(device) for wav in wavs]), search)
    return [trained.vocabulary.decode(one.tokens) for one in found]


def translate_files(trained: TrainedModel, files: list[Path], search: SearchSettings) -> None:
    """Translate sound files one by one, and print FILE<TAB>translation for each.

    Raises:
        InputError: a file is unreadable.
    """
    for file in files:
        try:
            wav = decode_whole(file)
        except MediaError as error:
            raise InputError(f"{file}: cannot be translated ({error})") from None
        if speech_frames(len(wav)) > trained.settings.data.max_frames:
            seconds = len(wav) / SAMPLE_RATE
            print(
                f"{file}: {seconds:.0f} s are longer than the model's training segments; cut it into sentences",
                file=sys.stderr,
            )
        print(f"{file}\t{translate_wavs(trained, [wav], search)[0]}", flush=True)
