"""Translate a split of MuST-C and score it, or translate sound files, with a model that stage 2 has trained."""

import argparse
import sys
from pathlib import Path

try:
    from mmpt.midtrain.settings import SearchSettings
except ModuleNotFoundError as error:
    sys.exit(f"error: {error}; set up with `bash scripts/setup.sh`, then `. .venv/bin/activate`")

from mmpt.scripts.samples.locate import built_samples
from mmpt.upstream import threads
from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError

EXAMPLES = """\
examples:
  python midtrain/translate.py runs/midtrain/it-samples --split tst-COMMON     files in RUN/translate/tst-COMMON
  python midtrain/translate.py runs/midtrain/it-must_c --split dev --beam 1 --which best --out dev_greedy
  python midtrain/translate.py runs/midtrain/it-samples talk.wav another.mp3   prints FILE<TAB>translation for each file
  sacrebleu references.txt -i hypotheses.txt -m bleu chrf --confidence         the same scores by sacrebleu's command

OUT gets hypotheses.txt and references.txt (one line per segment, in the corpus's order), scores.json (with 95 %
intervals and sacrebleu's signatures) and examples.md, a table of translations from the best to the worst.
midtrain/compare.py compares two such folders.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = p.add_argument
    add("run", type=Path, metavar="RUN", help="run folder of stage 2")
    sounds = "sound files to translate, in any common format, a sentence each"
    add("wavs", type=Path, nargs="*", metavar="WAV", help=sounds)
    add("--split", metavar="NAME", help="the corpus's split to translate: tst-COMMON, tst-HE, dev ...")
    corpus = "a prepared folder, or the one that holds en-xx (default: the corpus that the run was trained on)"
    add("--data", type=Path, metavar="MUSTC", help=corpus)
    which = "which of the run's checkpoints (default: the run's setting `export`)"
    add("--which", choices=["average", "best", "last"], help=which)
    beam = "hypotheses per utterance; 1 is greedy (default: %(default)s)"
    add("--beam", type=int, default=5, metavar="K", help=beam)
    penalty = "scores are divided by the length to this power (default: %(default)s)"
    add("--length-penalty", type=float, default=1.0, metavar="P", help=penalty)
    longest = "longest translation, in sub-words (default: %(default)s)"
    add("--max-tokens", type=int, default=200, metavar="N", help=longest)
    frames = "frames of speech (10 ms) in a batch (default: %(default)s)"
    add("--batch-frames", type=int, default=20_000, metavar="N", help=frames)
    add("--device", default="auto", help="cuda, cpu ... (default: cuda if available)")
    add("--out", type=Path, metavar="DIR", help="where the files go (default: RUN/translate/SPLIT)")
    add("--fresh", action="store_true", help="overwrite files in OUT")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Translate; return the exit status."""
    arguments = parser().parse_args(argv)
    if bool(arguments.wavs) == bool(arguments.split):
        raise InputError("what to translate? Give --split NAME, or sound files")
    if arguments.wavs and (arguments.out or arguments.data):
        raise InputError("--out and --data belong to --split; translations of sound files are printed")
    if arguments.batch_frames < 1:
        raise InputError(f"--batch-frames must be at least 1, not {arguments.batch_frames}")
    search = SearchSettings(arguments.beam, arguments.length_penalty, arguments.max_tokens)
    threads.prepare_for_model(threads.checkpoint_parameters(arguments.run / "encoder.pt"))
    # Torch is loaded from here on.
    from mmpt.midtrain.trained import load_translation
    from mmpt.midtrain.translating import refuse_to_overwrite, translate_files, translate_split
    from mmpt.training.device import use_device

    device = use_device(arguments.device)
    if arguments.split:
        out = arguments.out or arguments.run / "translate" / arguments.split
        if not arguments.fresh:
            refuse_to_overwrite(out)
        trained = load_translation(arguments.run, arguments.which, device)
        root = arguments.data or trained.settings.data.root or built_samples() / "must_c"
        translate_split(trained, Path(root), arguments.split, search, arguments.batch_frames, out)
    else:
        translate_files(load_translation(arguments.run, arguments.which, device), arguments.wavs, search)
    return 0


if __name__ == "__main__":
    sys.exit(main())
