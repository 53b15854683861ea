"""`run_downstream.py`: S3PRL's own `main()`, with `mmpt_av` registered and the command line filled in.

In order: parse (`arguments`), fill in what was not given (`defaults`, `data`), mend what today's libraries lack
(`repairs`), register our upstream (`registration`), and hand over to s3prl.run_downstream.main().
"""

from __future__ import annotations

import builtins
import os
import shlex
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from mmpt.upstream.errors import InputError
from mmpt.upstream.nearest import did_you_mean
from mmpt.upstream.repository import find_samples
from mmpt.upstream.s3prl_runner import arguments, defaults
from mmpt.upstream.s3prl_runner.experiment import best_checkpoint
from mmpt.upstream.s3prl_runner.registration import UPSTREAM


def main(argv: list[str] | None = None, samples: Callable[[], Path] = find_samples) -> int:
    """Run the stock runner; return the exit status: 0, or 2 after one line about bad input.

    `samples` gives the folder of the built samples, for a call that names no data.
    """
    program = Path(sys.argv[0]).name
    try:
        plan = defaults.fill(arguments.parse(argv, program), surroundings(samples))
        leads = plan.values.get("local_rank", 0) == 0
        for note in plan.notes if leads else ():
            _say(note)
        if plan.task is not None and plan.task.name == "sd" and plan.values["mode"] == "evaluate":
            _clear_predictions(plan)
        run_stock(plan.values, plan.options)
        if plan.values["mode"] == "train" and plan.task is not None and leads:
            _say_how_to_evaluate(plan)
    except Exception as error:
        if not _is_bad_input(error):
            raise
        _tell(f"{program}: error: {' '.join(str(error).split())}")
        return 2
    return 0


def run_stock(values: dict, options: dict | None = None) -> None:
    """Call S3PRL's `main()` in this process with `values` (destination → value) as its command line.

    `options` are for mmpt_av's expert, which S3PRL hands nothing but a file name.
    """
    if values.get("device") == "cpu":
        # S3PRL's evaluation selects a CUDA device wherever one is visible (s3prl/downstream/runner.py:447).
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    from mmpt.upstream.s3prl_runner import distributed, registration, repairs, watch

    # Said by every run about s3prl/downstream/runner.py:295, and nobody here can heed it.
    warnings.filterwarnings("ignore", r"`torch\.cuda\.amp\.autocast", FutureWarning)
    repairs.apply()
    if (values.get("hub") == "huggingface" or values.get("push_to_hf_hub")) and repairs.hub_is_placeholder():
        raise InputError(
            "--hub huggingface and --push_to_hf_hub need an older library: pip install 'huggingface_hub<1.0'"
        )
    registration.register(options)
    if "local_rank" in values:
        distributed.repair()
    _check_upstream(values)
    import s3prl.run_downstream

    typed, plain_isinstance = sys.argv, builtins.isinstance
    sys.argv = [typed[0], *arguments.to_stock_argv(values)]
    observer = watch.Watch()
    observer.start()
    try:
        s3prl.run_downstream.main()
    finally:
        observer.stop()
        _say_what_was_seen(observer)
        # S3PRL replaces isinstance by one that asks the former one twice (s3prl/utility/helper.py:63): left in place, every
        # further run in this process would double the time of each call.
        sys.argv, builtins.isinstance = typed, plain_isinstance


def _clear_predictions(plan: defaults.Plan) -> None:
    """Diarization writes a file for each recording, into a folder that it makes only where `scoring` is not there yet
    (s3prl/downstream/diarization/expert.py:84): make it, and leave nothing in it of an earlier evaluation.
    """
    folder = Path(plan.expdir, "scoring", "predictions")
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.h5"):
        file.unlink()


def surroundings(samples: Callable[[], Path] = find_samples) -> defaults.Surroundings:
    """This process's working directory, environment, samples, device and checkpoint reader."""
    return defaults.Surroundings(Path.cwd(), os.environ, samples, best_device, read_checkpoint)


def read_checkpoint(path: Path) -> dict:
    """A checkpoint of S3PRL's, tensors left on disk; InputError where the file is not one."""
    import torch

    from mmpt.upstream.s3prl_runner import repairs

    repairs.repair_checkpoint_loading()
    try:
        content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        if vars(content["Args"]) and content["Config"]["runner"]:
            return content
    except Exception as error:  # torch.load answers to bad files with errors of many kinds
        raise InputError(f"{path}: not a whole checkpoint of S3PRL's runner ({type(error).__name__})") from error
    raise InputError(f"{path}: not a checkpoint of S3PRL's runner")


def best_device() -> str:
    """Cuda where there is one, else cpu."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _check_upstream(values: dict) -> None:
    """An upstream that S3PRL does not know, told in one line; `-e` restores its own."""
    if values.get("upstream") is not None and "past_exp" not in values and values.get("hub") != "huggingface":
        check_upstream_name(values["upstream"])


def check_upstream_name(name: str) -> None:
    """InputError where S3PRL, with ours registered, has no upstream of this name."""
    import s3prl.hub

    if not callable(getattr(s3prl.hub, name, None)):
        known = [*s3prl.hub.options(), UPSTREAM]
        hint = did_you_mean(name, known, most=3, otherwise="S3PRL has none of a similar name")
        raise InputError(f"-u {name}: no such upstream; {hint}")


def _say_how_to_evaluate(plan: defaults.Plan) -> None:
    try:
        checkpoint, is_best = best_checkpoint(plan.expdir, plan.task.name)
    except InputError:
        return  # a run shorter than its first save_step: S3PRL wrote none
    program = sys.argv[0] if sys.argv[0].endswith(".py") else Path(sys.argv[0]).name
    start = f"python {shlex.quote(program)}" if program.endswith(".py") else shlex.quote(program)
    split = "" if plan.task.test_split == "test" else f" -t {plan.task.test_split}"
    if not is_best:
        _say(f"no best checkpoint was written; the last one is {checkpoint}")
    _say(f"evaluate it:  {start} -m evaluate -e {shlex.quote(str(checkpoint))}{split}")


def _say_what_was_seen(observer) -> None:
    """What S3PRL dropped without a word, and what the cache was good for."""
    counts = observer.counts
    for what in ("dropped_batches", "nan_steps"):
        if counts[what]:
            _say(
                f"{what.replace('_', ' ')}: {counts[what]} (batches that did not fit the GPU's memory; steps whose gradient was NaN)"
            )
    for split, ctc in counts["ctc"].items():
        if ctc["unalignable"]:
            share = 100 * ctc["unalignable"] / ctc["utterances"]
            _say(
                f"CTC, {split}: {share:.1f} % of utterances have more labels than the encoder has states, and count nothing (frame_hop: 320 helps)"
            )
    cache = getattr(observer.upstream, "cache", None)
    if cache is not None and cache.read + cache.computed:
        _say(
            f"cache: {cache.read:,} utterances read, {cache.computed:,} computed; {cache.root} holds {cache.held / 1e6:,.0f} MB"
        )


def _is_bad_input(error: Exception) -> bool:
    """Whether the error speaks of something the user gave, so that a traceback would only hide it."""
    if InputError in type(error).__mro__:
        return True
    from mmpt.upstream.mmpt_av import CheckpointError

    return CheckpointError in type(error).__mro__


def _say(text: str) -> None:
    _tell(f"[mmpt] {text}")


def _tell(line: str) -> None:
    """Write a line to standard error, past any progress bar that S3PRL has open there."""
    if "tqdm" in sys.modules:
        sys.modules["tqdm"].tqdm.write(line, file=sys.stderr)
    else:
        print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
