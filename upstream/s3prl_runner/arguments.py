"""The command line of `run_downstream.py`: every flag of S3PRL's stock runner, and a few of ours.

The stock parser lives inside S3PRL (s3prl/run_downstream.py:22), demands `-m` and a name, and takes six seconds to
import. This parser knows the same flags, so that help, mistakes and defaults come at once. The parsed values are
written out again, by long names, for the stock parser. A test holds the two parsers to the same flags.
"""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from mmpt.upstream.errors import InputError

EXAMPLES = """\
examples:
  %(prog)s -u mmpt_av -d ks                          keyword spotting on the built samples, newest encoder of runs/
  %(prog)s -u mmpt_av -d asr -k runs/clr/encoder.pt --data-root /data
  %(prog)s -u fbank -d ic -n ic_fbank -o "config.optimizer.lr=1e-3,,config.runner.total_steps=500"
  %(prog)s -u hf:/models/wavlm-base -d ks            an encoder of transformers: a folder, or an id of its hub
  %(prog)s -u wav2vec2_url:https://host/small.pt -d ks
  %(prog)s -u my_experts/good:weights.pt -d ks        my_experts/good/expert.py, an upstream of your own
  %(prog)s -m evaluate -e result/downstream/ic_fbank  the experiment's best checkpoint on the test split
  %(prog)s -m evaluate -e result/downstream/asr_fbank/dev-clean-best.ckpt -t test-other
  %(prog)s -e result/downstream/ic_fbank              resume an interrupted training
  %(prog)s -u mmpt_av -d pr --cache data/states       encode each sound once, then read its states
  %(prog)s -u mmpt_av -d sid --data-root /data         a task beyond the five; qbe is evaluated without training:
  %(prog)s -m evaluate -u mmpt_av -d qbe -l -1 -t dev --data-root /data

data, in this order: --data-root, then data.yaml in the working directory, then the built samples (with the shorter
settings of downstream_configs/quick/, or evening/ if they are built --full). A data root holds the published folders:
  ks   speech_commands_v0.01/ and speech_commands_test_set_v0.01/
  ic   fluent_speech_commands_dataset/
  sd   diarization/train, dev and test, as Kaldi folders
  asr  LibriSpeech/ with len_for_bucket/
  pr   LibriSpeech/ with lexicon/
  sid  VoxCeleb1/ with iden_split.txt
  asv  VoxCeleb1/ with voxceleb1_test_v2.txt
  er   IEMOCAP/ with meta_data/
  sf   SNIPS/                                          qbe  quesst14Database/
  se   voicebank/wav16k/                               ss   Libri2Mix/wav16k/min/
The samples are for the first five alone. data.yaml names a root for all tasks, for one task, or one folder by its
published name; paths are relative to the file:
  root: /data
  sd: /scratch/superb
  LibriSpeech: /corpora/LibriSpeech

On a machine of few cores, OMP_NUM_THREADS=1 makes small runs several times faster.
"""

_Flag = tuple[tuple[str, ...], dict[str, Any]]  # names, options of argparse's add_argument


def _flag(*names: str, **options: Any) -> _Flag:
    if "action" not in options and "choices" not in options:
        options.setdefault("metavar", _destination(names).split("_")[-1].upper())
    return names, options


def _destination(names: tuple[str, ...]) -> str:
    """Return the name of a flag's value in the parser's namespace."""
    return next(name for name in names if name.startswith("--"))[2:].replace("-", "_")


# The flags of s3prl/run_downstream.py:22-83, with our words for the help.
_STOCK_FLAGS: dict[str, list[_Flag]] = {
    "what to run": [
        _flag("-m", "--mode", choices=["train", "evaluate", "inference"], help="default: train"),
        _flag(
            "-u",
            "--upstream",
            metavar="UPSTREAM[:CKPT[:CONFIG]]",
            help="mmpt_av; hf, any speech encoder of transformers; an upstream of S3PRL: fbank, hubert, wavlm_large, "
            "...; or a folder with an expert.py of your own, written with a slash",
        ),
        _flag(
            "-d", "--downstream", help="ks, ic, pr, sd, asr, sid, er, sf, asv, qbe, se, ss, or S3PRL's name of a task"
        ),
        _flag("-t", "--evaluate_split", help="split to evaluate; default: test (asr: test-clean)"),
        _flag(
            "-o",
            "--override",
            help="settings above all others: args.NAME=VALUE and config.A.B=VALUE, separated by ',,'",
        ),
        _flag("-c", "--config", help="the task's YAML; default: the one of downstream_configs"),
        _flag("-v", "--downstream_variant", help="variant of a task, for those tasks of S3PRL that have variants"),
    ],
    "the encoder": [
        _flag(
            "-k",
            "--upstream_ckpt",
            help="checkpoint, in place of the one in -u; default for mmpt_av: $MMPT_AV_CKPT, else the newest "
            "runs/**/encoder.pt that is trained and not a study's, else the repository's samples/encoders/demo.pt; for "
            "a folder its model.pt, if it has one",
        ),
        _flag(
            "-g",
            "--upstream_model_config",
            help="configuration file of the upstream, in place of the one in -u; for mmpt_av a YAML file with any of "
            "frame_hop (640 or 320 samples under a state), precision (float32 or bfloat16), cache_dir, cache_dtype, "
            "cache_limit_gb",
        ),
        _flag("-f", "--upstream_trainable", action="store_true", help="fine-tune the encoder; default: frozen"),
        _flag("-s", "--upstream_feature_selection", help="which of the upstream's features; default: hidden_states"),
        _flag("-l", "--upstream_layer_selection", type=int, help="one layer instead of the learned weighted sum"),
        _flag("--upstream_feature_normalize", action="store_true", help="layer-normalise the features before the sum"),
        _flag("-r", "--upstream_refresh", action="store_true", help="download an upstream's checkpoint again"),
        _flag("--upstream_model_name", help="file name in a Hugging Face repository"),
        _flag("--upstream_revision", help="commit in a Hugging Face repository"),
        _flag("--hub", choices=["torch", "huggingface"], help="source of upstreams; default: torch"),
    ],
    "the experiment": [
        _flag(
            "-n",
            "--expname",
            help="write to result/downstream/EXPNAME; default: a new name made of task and encoder",
        ),
        _flag("-p", "--expdir", help="write to this folder instead"),
        _flag("-a", "--auto_resume", action="store_true", help="resume the experiment if it has a checkpoint"),
        _flag(
            "-e",
            "--past_exp",
            help="checkpoint or experiment folder to resume, or to evaluate (of a folder: its best checkpoint)",
        ),
        _flag("-i", "--init_ckpt", help="checkpoint to load the weights from, but not the settings"),
        _flag("--push_to_hf_hub", help="push the experiment to the Hugging Face Hub"),
        _flag("--hf_hub_org", help="organisation to push it to"),
    ],
    "the machine": [
        _flag("--device", help="default: cuda if available, else cpu"),
        _flag("--seed", type=int, help="default: 1337"),
        _flag("--backend", help="backend of torch.distributed; default: nccl (gloo on CPUs)"),
        _flag("--local_rank", "--local-rank", type=int, help="default: $LOCAL_RANK, which torchrun sets"),
        _flag("--cache_dir", help="folder for downloaded checkpoints"),
        _flag("--verbose", action="store_true", help="print the parts of the model"),
        _flag("--disable_cudnn", action="store_true", help="do not use cuDNN"),
    ],
}

# Ours alone: S3PRL never sees them.
_OUR_FLAGS: dict[str, list[_Flag]] = {
    "the data": [
        _flag("--data-root", metavar="DIR", help="folder that holds the corpora under their published names"),
        _flag(
            "--lexicon",
            metavar="FILE",
            nargs="+",
            help="pr: other lexicons, such as CMUdict; words in none of them become spoken noise (SPN). "
            "Not comparable with the board",
        ),
    ],
    "states kept on disk (frozen encoders)": [
        _flag(
            "--cache",
            metavar="DIR",
            help="keep the encoder's states in DIR, and read them when the same sound comes again: in the next epoch, "
            "task or run. Of other encoders than mmpt_av, an utterance is then encoded alone, not in its batch",
        ),
        _flag("--cache-dtype", choices=["float16", "float32"], help="dtype of the kept states; default: float16"),
        _flag("--cache-limit", metavar="GB", type=float, help="size at which DIR stops growing; default: 100"),
    ],
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; {self.prog} --help shows every flag")


def build_parser(program: str = "run_downstream.py") -> argparse.ArgumentParser:
    """Return a parser whose namespace holds only the flags that were given, under the stock runner's names."""
    parser = _Parser(
        prog=program,
        description="S3PRL's stock SUPERB runner, unchanged, with the upstream mmpt_av and with defaults for the rest.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    for title, flags in (_OUR_FLAGS | _STOCK_FLAGS).items():
        group = parser.add_argument_group(title)
        for names, options in flags:
            group.add_argument(*names, **options)
    return parser


def parse(argv: list[str] | None, program: str = "run_downstream.py") -> dict[str, Any]:
    """Parse a command line into destination → value of the flags given.

    Raises:
        InputError: a flag is unknown, or a value does not fit.
    """
    return vars(build_parser(program).parse_args(argv))


def to_stock_argv(values: dict[str, Any]) -> list[str]:
    """Write `values` as arguments for the stock parser, by long names; leave out None and False."""
    argv = []
    for flags in _STOCK_FLAGS.values():
        for names, options in flags:
            long_name, value = f"--{_destination(names)}", values.get(_destination(names))
            if options.get("action") == "store_true":
                argv += [long_name] if value else []
            elif value is not None:
                argv.append(f"{long_name}={value}")  # one word, so that a value may begin with a dash
    return argv


def to_argv(values: dict[str, Any]) -> list[str]:
    """Write `values` as a person would type them: each flag by its first name, in the order of `values`."""
    every = [flag for flags in (_STOCK_FLAGS | _OUR_FLAGS).values() for flag in flags]
    first_names = {_destination(names): names[0] for names, _ in every}
    argv = []
    for name, value in values.items():
        if value is not None and value is not False:
            words = [] if value is True else value if isinstance(value, (list, tuple)) else [value]
            argv += [first_names[name], *map(str, words)]
    return argv
