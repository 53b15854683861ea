"""The command line of `run_downstream.py`: every flag of S3PRL's stock runner, and a few of ours.

The stock parser lives inside S3PRL (s3prl/run_downstream.py:22), wants `-m` and a name, and takes six seconds
to import. This one knows the same flags, so that help, mistakes and defaults come at once; what it parsed
is written out again, by long names, for the stock parser. A test holds the two to the same flags.
"""

from __future__ import annotations

import argparse

from mmpt.upstream.errors import InputError

EXAMPLES = """\
examples:
  %(prog)s -u mmpt_av -d ks                          keyword spotting on the built samples, newest encoder of runs/
  %(prog)s -u mmpt_av -d asr -k runs/clr/encoder.pt --data-root /data
  %(prog)s -u fbank -d ic -n ic_fbank -o "config.optimizer.lr=1e-3,,config.runner.total_steps=500"
  %(prog)s -m evaluate -e result/downstream/ic_fbank  the experiment's best checkpoint on the test split
  %(prog)s -m evaluate -e result/downstream/asr_fbank/dev-clean-best.ckpt -t test-other
  %(prog)s -e result/downstream/ic_fbank              go on with a broken-off training
  %(prog)s -u mmpt_av -d pr --cache data/states       epochs after the first, and ASR, read what was computed

data, in this order: --data-root, then data.yaml in the working directory, then the built samples (their shorter
downstream_configs/quick/ is used then). Under a data root lie the published folders:
  ks   speech_commands_v0.01/ and speech_commands_test_set_v0.01/
  ic   fluent_speech_commands_dataset/
  sd   diarization/train, dev and test, as Kaldi folders
  asr  LibriSpeech/ with len_for_bucket/
  pr   LibriSpeech/ with lexicon/
data.yaml names a root for all, for one task, or one folder by its published name; paths are relative to the file:
  root: /data
  sd: /scratch/superb
  LibriSpeech: /corpora/LibriSpeech

On a machine of few cores, OMP_NUM_THREADS=1 makes small runs several times faster.
"""

# Flags of s3prl/run_downstream.py:22-83: names, what the parser needs to know, and our words for the help.
_STOCK_FLAGS = (
    (
        "what to run",
        (
            (("-m", "--mode"), dict(choices=["train", "evaluate", "inference"]), "default: train"),
            (("-u", "--upstream"), {}, "mmpt_av, or an upstream of S3PRL's: fbank, hubert, wavlm_large, ..."),
            (("-d", "--downstream"), {}, "ks, ic, pr, sd, asr, or S3PRL's name of a task"),
            (("-t", "--evaluate_split"), {}, "split to evaluate; default: test (asr: test-clean)"),
            (
                ("-o", "--override"),
                {},
                "settings above all others: args.NAME=VALUE and config.A.B=VALUE, parted by ',,'",
            ),
            (("-c", "--config"), {}, "the task's YAML; default: the one of downstream_configs"),
            (("-v", "--downstream_variant"), {}, "variant of a task, for the tasks of S3PRL that have any"),
        ),
    ),
    (
        "the encoder",
        (
            (
                ("-k", "--upstream_ckpt"),
                {},
                "checkpoint; default for mmpt_av: $MMPT_AV_CKPT, else the newest runs/**/encoder.pt",
            ),
            (
                ("-g", "--upstream_model_config"),
                {},
                "configuration file of the upstream; for mmpt_av a YAML file with any of frame_hop "
                "(640 or 320 samples under a state), precision (float32 or bfloat16), cache_dir, cache_dtype, cache_limit_gb",
            ),
            (("-f", "--upstream_trainable"), dict(action="store_true"), "fine-tune the encoder; default: frozen"),
            (("-s", "--upstream_feature_selection"), {}, "which of the upstream's features; default: hidden_states"),
            (("-l", "--upstream_layer_selection"), dict(type=int), "one layer in place of the learned weighted sum"),
            (
                ("--upstream_feature_normalize",),
                dict(action="store_true"),
                "layer-normalise the features before the sum",
            ),
            (("-r", "--upstream_refresh"), dict(action="store_true"), "download an upstream's checkpoint again"),
            (("--upstream_model_name",), {}, "file name in a Hugging Face repository"),
            (("--upstream_revision",), {}, "commit in a Hugging Face repository"),
            (("--hub",), dict(choices=["torch", "huggingface"]), "where upstreams come from; default: torch"),
        ),
    ),
    (
        "the experiment",
        (
            (
                ("-n", "--expname"),
                {},
                "write to result/downstream/EXPNAME; default: a new name made of task and encoder",
            ),
            (("-p", "--expdir"), {}, "write to this folder instead"),
            (("-a", "--auto_resume"), dict(action="store_true"), "go on with the experiment if it has a checkpoint"),
            (
                ("-e", "--past_exp"),
                {},
                "checkpoint or experiment folder to resume, or to evaluate (a folder: its best checkpoint)",
            ),
            (("-i", "--init_ckpt"), {}, "checkpoint whose weights, but not settings, are loaded"),
            (("--push_to_hf_hub",), {}, "push the experiment to the Hugging Face Hub"),
            (("--hf_hub_org",), {}, "organisation to push it to"),
        ),
    ),
    (
        "the machine",
        (
            (("--device",), {}, "default: cuda where there is one, else cpu"),
            (("--seed",), dict(type=int), "default: 1337"),
            (("--backend",), {}, "of torch.distributed; default: nccl (gloo on CPUs)"),
            (("--local_rank", "--local-rank"), dict(type=int), "default: $LOCAL_RANK, which torchrun sets"),
            (("--cache_dir",), {}, "where downloaded checkpoints are kept"),
            (("--verbose",), dict(action="store_true"), "print what the model is made of"),
            (("--disable_cudnn",), dict(action="store_true"), "do without cuDNN"),
        ),
    ),
)


# Ours alone: S3PRL never sees them.
_OUR_FLAGS = (
    (
        "the data",
        (
            ("--data-root", dict(metavar="DIR", help="folder that holds the corpora under their published names")),
            (
                "--lexicon",
                dict(
                    metavar="FILE",
                    nargs="+",
                    help="pr: other lexicons, such as CMUdict; words in none are spoken noise (SPN). "
                    "Not comparable with the board",
                ),
            ),
        ),
    ),
    (
        "states kept on disk (mmpt_av, frozen)",
        (
            (
                "--cache",
                dict(
                    metavar="DIR",
                    help="keep the encoder's states here and read them when the same sound comes again: in the next epoch, task or run",
                ),
            ),
            ("--cache-dtype", dict(choices=["float16", "float32"], help="how they are kept; default: float16")),
            ("--cache-limit", dict(metavar="GB", type=float, help="size at which DIR stops growing; default: 100")),
        ),
    ),
)


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise InputError(f"{message}; {self.prog} --help shows every flag")


def build_parser(program: str = "run_downstream.py") -> argparse.ArgumentParser:
    """A parser whose namespace holds only what was given, under the stock runner's names."""
    parser = _Parser(
        prog=program,
        description="S3PRL's stock SUPERB runner, unchanged, with the upstream mmpt_av and with defaults for the rest.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    for title, flags in _OUR_FLAGS:
        group = parser.add_argument_group(title)
        for name, options in flags:
            group.add_argument(name, **options)
    for title, flags in _STOCK_FLAGS:
        group = parser.add_argument_group(title)
        for names, options, text in flags:
            metavar = {} if "action" in options or "choices" in options else {"metavar": _metavar(names)}
            group.add_argument(*names, help=text, **options, **metavar)
    return parser


def parse(argv: list[str] | None, program: str = "run_downstream.py") -> dict:
    """Destination → value, of the flags given; InputError for an unknown flag or a bad value."""
    return vars(build_parser(program).parse_args(argv))


def to_stock_argv(values: dict) -> list[str]:
    """`values` as arguments for the stock parser, by long names; None and False are left out."""
    argv = []
    for _, flags in _STOCK_FLAGS:
        for names, options, _ in flags:
            name = _destination(names)
            long_name, value = f"--{name}", values.get(name)
            if options.get("action") == "store_true":
                argv += [long_name] if value else []
            elif value is not None:
                argv.append(f"{long_name}={value}")  # one word, so that a value may begin with a dash
    return argv


def to_argv(values: dict) -> list[str]:
    """Return `values` as a person would type them: each flag by its first name, in the order of `values`."""
    first_names = {_destination(names): names[0] for _, flags in _STOCK_FLAGS for names, _, _ in flags}
    first_names |= {name[2:].replace("-", "_"): name for _, flags in _OUR_FLAGS for name, _ in flags}
    argv = []
    for name, value in values.items():
        if value is not None and value is not False:
            words = [] if value is True else value if isinstance(value, (list, tuple)) else [value]
            argv += [first_names[name], *map(str, words)]
    return argv


def _metavar(names: tuple[str, ...]) -> str:
    return _destination(names).split("_")[-1].upper()


def _destination(names: tuple[str, ...]) -> str:
    """Return the name of a flag's value in the stock parser's namespace."""
    return next(name for name in names if name.startswith("--"))[2:]
