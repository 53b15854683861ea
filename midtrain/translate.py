"""Translates a split of MuST-C, and scores it, or sound files, with a model that stage 2 has trained."""

import argparse
import json
import sys
import time
from pathlib import Path

try:
    import torch

    import mmpt.upstream.mmpt_av  # noqa: F401
except ModuleNotFoundError as error:
    sys.exit(f"error: {error}; set up with `bash scripts/setup.sh`, then `. .venv/bin/activate`")

from torch import Tensor
from tqdm import tqdm

from mmpt.midtrain.batches import cut
from mmpt.midtrain.corpus import open_corpus
from mmpt.midtrain.decode import translate
from mmpt.midtrain.scoring import example_table, score_translations
from mmpt.midtrain.segments import Segment, read_wav
from mmpt.midtrain.settings import SearchSettings
from mmpt.midtrain.trained import TrainedModel, load_translation
from mmpt.scripts.samples.locate import built_samples
from mmpt.training.device import autocast, use_device
from mmpt.training.media import MediaError
from mmpt.training.media_sound import decode_whole
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text
from mmpt.upstream.mmpt_av.config import SAMPLE_RATE
from mmpt.upstream.mmpt_av.filterbank import speech_frames

FILES = ("hypotheses.txt", "references.txt", "scores.json", "examples.md")

EXAMPLES = """\
examples:
  python midtrain/translate.py runs/midtrain/it-samples --split tst-COMMON         scores, and files in RUN/translate/tst-COMMON
  python midtrain/translate.py runs/midtrain/it-must_c --split dev --beam 1 --which best --out dev_greedy
  python midtrain/translate.py runs/midtrain/it-samples talk.wav another.mp3       sound files: one line each, FILE<TAB>translation
  sacrebleu references.txt -i hypotheses.txt -m bleu chrf                          the same scores by sacrebleu's own command

OUT has hypotheses.txt and references.txt (a line a segment, in the corpus's order), scores.json (with sacrebleu's signatures) and
examples.md, a table of translations from the best to the worst.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("run", type=Path, metavar="RUN", help="run folder of stage 2")
    p.add_argument(
        "wavs",
        type=Path,
        nargs="*",
        metavar="WAV",
        help="sound files to translate, in any common format, a sentence each",
    )
    p.add_argument("--split", metavar="NAME", help="the corpus's split to translate: tst-COMMON, tst-HE, dev ...")
    p.add_argument(
        "--data",
        type=Path,
        metavar="MUSTC",
        help="a prepared folder, or the one that holds en-xx (default: what the run was trained on)",
    )
    p.add_argument(
        "--which",
        choices=["average", "best", "last"],
        help="of the run's checkpoints (default: what the run's `export` says)",
    )
    p.add_argument(
        "--beam", type=int, default=5, metavar="K", help="hypotheses an utterance; 1 is greedy (default: %(default)s)"
    )
    p.add_argument(
        "--length-penalty",
        type=float,
        default=1.0,
        metavar="P",
        help="scores are divided by length to this power (default: %(default)s)",
    )
    p.add_argument(
        "--max-tokens",
        type=int,
        default=200,
        metavar="N",
        help="longest translation, in sub-words (default: %(default)s)",
    )
    p.add_argument(
        "--batch-frames",
        type=int,
        default=20_000,
        metavar="N",
        help="frames of speech (10 ms) in a batch (default: %(default)s)",
    )
    p.add_argument("--device", default="auto", help="cuda, cpu ... (default: cuda where there is one)")
    p.add_argument("--out", type=Path, metavar="DIR", help="where the files go (default: RUN/translate/SPLIT)")
    p.add_argument("--fresh", action="store_true", help="overwrite the files that are in OUT already")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Translates; returns the exit status."""
    arguments = parser().parse_args(argv)
    if bool(arguments.wavs) == bool(arguments.split):
        raise InputError("what to translate? Give --split NAME, or sound files")
    if arguments.wavs and (arguments.out or arguments.data):
        raise InputError("--out and --data belong to --split; translations of sound files are printed")
    if arguments.batch_frames < 1:
        raise InputError(f"--batch-frames must be at least 1, not {arguments.batch_frames}")
    search = SearchSettings(arguments.beam, arguments.length_penalty, arguments.max_tokens)
    device = use_device(arguments.device)
    if arguments.split:
        translate_split(arguments, search, device)
    else:
        translate_files(arguments, search, device)
    return 0


def translate_split(arguments: argparse.Namespace, search: SearchSettings, device: torch.device) -> None:
    """A split of the corpus: files, and scores that are printed, too."""
    out = arguments.out or arguments.run / "translate" / arguments.split
    if there := [name for name in FILES if (out / name).exists()]:
        if not arguments.fresh:
            raise InputError(f"{out / there[0]}: is there already; --fresh overwrites it, --out names another folder")
    trained = load_translation(arguments.run, arguments.which, device)
    settings = trained.settings
    root = arguments.data or (Path(settings.data.root) if settings.data.root else built_samples() / "must_c")
    corpus = open_corpus(root, settings.target_lang, settings.data.max_frames)
    split = corpus.read(arguments.split)
    print(f"{corpus.name}, {split.describe()}")
    started = time.monotonic()
    hypotheses = translate_segments(trained, split.segments, search, arguments.batch_frames)
    seconds = time.monotonic() - started
    scores = score_translations(hypotheses, [s.target for s in split.segments], settings.target_lang)
    about = {
        "split": arguments.split,
        "corpus": corpus.name,
        "segments": len(hypotheses),
        "bleu": scores.bleu,
        "chrf": scores.chrf,
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
    write_text(out / "references.txt", "".join(s.target + "\n" for s in split.segments))
    title = f"{corpus.name}, {split.name}: beam {search.beam}, length penalty {search.length_penalty:g}, weights of steps {', '.join(map(str, trained.steps))}"
    write_text(out / "examples.md", example_table(title, scores, split.segments, hypotheses))
    write_text(out / "scores.json", json.dumps(about, indent=1) + "\n")
    print(f"{len(hypotheses) / seconds:.1f} utterances/s; {title}", *scores.lines, sep="\n")
    print(f"Written: {', '.join(str(out / name) for name in FILES)}")


def translate_segments(
    trained: TrainedModel, segments: list[Segment], search: SearchSettings, batch_frames: int
) -> list[str]:
    """Translations in the order of the segments, computed from the longest to the shortest: what does not fit in memory shows at once."""
    batches = cut(sorted(segments, key=lambda s: (-s.frames, s.id)), batch_frames)
    texts: dict[str, str] = {}
    with tqdm(total=len(segments), unit="utterance", desc="translating", dynamic_ncols=True) as bar:
        for batch in batches:
            texts.update(zip((s.id for s in batch), translate_wavs(trained, [read_wav(s) for s in batch], search)))
            bar.update(len(batch))
    return [texts[s.id] for s in segments]


@torch.no_grad()
def translate_wavs(trained: TrainedModel, wavs: list[Tensor], search: SearchSettings) -> list[str]:
    """Translations of waveforms (samples,) in [-1, 1], one batch."""
    model, settings = trained.model, trained.settings
    device = next(model.parameters()).device
    with autocast(settings, device):
        found = translate(model, model.encoder.filterbank.separate([wav.to(device) for wav in wavs]), search)
    return [trained.vocabulary.decode(one.tokens) for one in found]


def translate_files(arguments: argparse.Namespace, search: SearchSettings, device: torch.device) -> None:
    """Sound files, one after the other: FILE<TAB>translation."""
    trained = load_translation(arguments.run, arguments.which, device)
    for file in arguments.wavs:
        try:
            wav = decode_whole(file)
        except MediaError as error:
            raise InputError(f"{file}: cannot be translated ({error})") from None
        if speech_frames(len(wav)) > trained.settings.data.max_frames:
            print(
                f"{file}: {len(wav) / SAMPLE_RATE:.0f} s are more than the model was trained on; cut it into sentences",
                file=sys.stderr,
            )
        print(f"{file}\t{translate_wavs(trained, [wav], search)[0]}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
