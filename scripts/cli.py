"""Run `mmpt`: one table of subcommands, each a script's `main`, imported when it is called."""

import importlib
import sys
from collections.abc import Callable
from typing import NamedTuple

from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.nearest import did_you_mean
from mmpt.upstream.repository import is_clone


class Command(NamedTuple):
    """A subcommand: the module whose `main(argv)` runs it, what it does in one line, and whether it needs a clone."""

    module: str
    summary: str
    needs_clone: bool = False


COMMANDS = {
    "pretrain": Command("pretrain.run", "stage 1: train an encoder on audio-visual clips"),
    "midtrain": Command("midtrain.run", "stage 2: train it further on speech translation"),
    "translate": Command("midtrain.translate", "translate speech with a model of stage 2"),
    "compare-translations": Command("midtrain.compare", "test whether one system translates better than another"),
    "downstream": Command("upstream.s3prl_runner.launcher", "stage 3: run one SUPERB task through S3PRL's own runner"),
    "with": Command("scripts.with_command", "run a Python command of S3PRL's or ESPnet's with our encoders in it"),
    "superb run": Command("scripts.superb.run", "train and test SUPERB tasks for several encoders, seeds and rates"),
    "superb check": Command("scripts.superb.check_upstream", "check that an upstream keeps S3PRL's contract"),
    "superb check-data": Command("scripts.superb.check_data", "check the tasks' corpora before a run"),
    "superb compare": Command("scripts.superb.compare", "compare two scored encoders: is one better than the other?"),
    "superb submit": Command("scripts.superb.submit", "make a bundle for the leaderboard from a run's predictions"),
    "superb score": Command("scripts.superb.score", "score a bundle by the leaderboard's rules"),
    "superb cost": Command("scripts.superb.cost", "count an encoder's parameters and operations"),
    "superb report": Command("scripts.report", "write tables and figures of one or more runs"),
    "export": Command("scripts.export", "write an encoder checkpoint from a run, or an untrained one"),
    "extract": Command("scripts.extract", "write an encoder's states of sound files"),
    "model-card": Command("scripts.model_card", "write the model card of an encoder checkpoint"),
    "import-fairseq": Command("scripts.import_fairseq", "make an encoder checkpoint from a fairseq s2t_conformer"),
    "report": Command("scripts.report", "the same as superb report"),
    "prepare kinetics600": Command("scripts.prepare.kinetics600", "list the clips of Kinetics-600"),
    "prepare voxceleb2": Command("scripts.prepare.voxceleb2", "list the clips of VoxCeleb2"),
    "prepare lrs3": Command("scripts.prepare.lrs3", "list the clips of LRS3-TED"),
    "prepare shards": Command("scripts.prepare.shards", "pack clips into tar shards"),
    "prepare must-c": Command("scripts.prepare.must_c", "check MuST-C and pack it into tar shards"),
    "prepare transcripts": Command("scripts.prepare.transcripts", "prepare LibriSpeech as transcripts for stage 2"),
    "prepare librispeech-lengths": Command("scripts.prepare.librispeech_lengths", "list LibriSpeech's lengths for ASR"),
    "prepare iemocap-sessions": Command("scripts.prepare.iemocap_sessions", "list IEMOCAP's sessions for ER"),
    "samples": Command("scripts.samples.build", "build the sample corpora from the repository's recordings", True),
    "quickstart": Command("scripts.quickstart", "run all three stages on the sample corpora", True),
    "study": Command("scripts.study", "compare pre-training objectives and mid-training: the paper's question"),
    "probe-phones": Command("scripts.probe_phones", "find out in which layers of encoders the phones can be read"),
    "drill-resume": Command(
        "scripts.drill_resume", "kill and resume a training run, and compare it with an unbroken one"
    ),
}
GROUPS = {"superb": "stage 3: run, check, score and submit SUPERB tasks", "prepare": "make a corpus ready for training"}
HELP = ("-h", "--help")


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Run the subcommand that `argv` begins with; return its exit status."""
    words = sys.argv[1:] if argv is None else argv
    group = f"{words[0]} " if words and words[0] in GROUPS else ""
    rest = words[1:] if group else words
    if not rest or rest[0] in HELP:
        print(overview(group))
        return 0
    name = group + rest[0]
    if name not in COMMANDS:
        raise InputError(f"mmpt {name}: no such command; {hint(group, rest[0])}")
    if COMMANDS[name].needs_clone and not is_clone() and not set(rest) & set(HELP):
        raise InputError(
            f"mmpt {name} needs the recordings of the repository: call it from a clone set up by scripts/setup.sh"
        )
    return call(name, rest[1:])


def call(name: str, arguments: list[str]) -> int:
    """Import a command's module and run it; its usage shows `mmpt NAME`."""
    run: Callable[..., int | None] = importlib.import_module(f"mmpt.{COMMANDS[name].module}").main
    typed = sys.argv
    sys.argv = [f"mmpt {name}", *arguments]  # argparse takes the program's name from here
    try:
        if name == "downstream":
            from mmpt.scripts.samples.locate import built_samples

            return run(arguments, samples=built_samples) or 0
        return run(arguments) or 0
    finally:
        sys.argv = typed


def overview(group: str = "") -> str:
    """List the commands, or those of a group ("superb "), with one line each."""
    lines: dict[str, str] = {}
    for name, command in COMMANDS.items():
        first, _, inside = name.removeprefix(group).partition(" ")
        if name.startswith(group):
            lines[first] = f"{GROUPS[first]} (mmpt {first} --help)" if inside else command.summary
    about = GROUPS[group.strip()] if group else "Pre-train an audio encoder on video, mid-train it, score it on SUPERB"
    return "\n".join(
        [
            f"usage: mmpt {group}COMMAND ...\n\n{about}\n\ncommands:",
            *(f"  {name:<{max(map(len, lines))}}  {summary}" for name, summary in lines.items()),
            f"\nmmpt {group}COMMAND --help describes a command.",
        ]
    )


def hint(group: str, word: str) -> str:
    """Return a hint at what was probably meant: a command of that name in a group, or the nearest name."""
    for name in COMMANDS:
        if name.endswith(f" {word}"):
            return f"did you mean mmpt {name}?"
    known = [name.removeprefix(group).split()[0] for name in COMMANDS if name.startswith(group)]
    return did_you_mean(word, known, prefix=f"mmpt {group}", otherwise=f"mmpt {group}--help lists all")


if __name__ == "__main__":
    sys.exit(main())
