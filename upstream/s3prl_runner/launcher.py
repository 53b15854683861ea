"""`run_downstream.py`: S3PRL's own `main()`, with `mmpt_av` registered and the command line filled in.

In order: parse (`arguments`), fill in what was not given (`defaults`), repair what today's libraries lack (`repairs`),
register our upstream (`registration`), and call s3prl.run_downstream.main().
"""

from __future__ import annotations

import builtins
import os
import shlex
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmpt.upstream.errors import InputError, describe_os_error
from mmpt.upstream.extras import what_to_install
from mmpt.upstream.mmpt_av.errors import CheckpointError
from mmpt.upstream.nearest import did_you_mean
from mmpt.upstream.repository import find_samples
from mmpt.upstream.s3prl_runner import arguments
from mmpt.upstream.s3prl_runner.encoder_names import EXPERT
from mmpt.upstream.s3prl_runner.plan import Plan, Surroundings
from mmpt.upstream.s3prl_runner.registration import UPSTREAM
from mmpt.upstream.s3prl_runner.upstream_argument import encoder_of


def main(argv: list[str] | None = None, samples: Callable[[], Path] = find_samples) -> int:
    """Run the stock runner.

    Args:
        argv: the command line; default: sys.argv.
        samples: returns the folder of the built samples, for a call that names no data.

    Returns:
        The exit status: 2 after one line about bad input, 130 after Ctrl-C, else 0.
    """
    program = Path(sys.argv[0]).name
    try:
        plan = _make_plan(arguments.parse(argv, program), samples)
        _check_nothing_is_mixed(plan)
        is_leader = plan.values.get("local_rank", 0) == 0
        for note in plan.notes if is_leader else ():
            _note(note)
        if _writes_diarization(plan):
            _clear_predictions(plan)
        run_stock(plan.values, plan.options, plan.restored)
        if plan.values["mode"] == "train" and is_leader:
            _note_how_to_evaluate(plan)
    except (InputError, CheckpointError) as error:
        _write(f"{program}: error: {' '.join(str(error).split())}")
        return 2
    except OSError as error:
        _write(f"{program}: error: {describe_os_error(error)}")
        return 2
    except KeyboardInterrupt:
        _write("interrupted")
        return 130
    return 0


def _make_plan(given: dict[str, Any], samples: Callable[[], Path]) -> Plan:
    """Fill in the command line. The libraries for it are imported here, so that --help needs none."""
    try:
        from mmpt.upstream.s3prl_runner import defaults

        return defaults.fill(given, surroundings(samples))
    except ModuleNotFoundError as error:
        raise InputError(what_to_install(error) or str(error)) from error


def run_stock(
    values: dict[str, Any], options: dict[str, Any] | None = None, restored: dict[str, Any] | None = None
) -> None:
    """Call S3PRL's `main()` in this process.

    Args:
        values: destination → value of its command line.
        options: of the cache, which S3PRL does not know: for the expert of mmpt_av, or for any other upstream.
        restored: arguments that S3PRL restores from a checkpoint in place of the given ones.
    """
    if values.get("device") == "cpu":
        # S3PRL's evaluation selects a CUDA device wherever one is visible (s3prl/downstream/runner.py:447).
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    from mmpt.upstream.s3prl_runner import (
        distributed,
        expert_folders,
        progress,
        reading_processes,
        registration,
        repairs,
        row_gradients,
        watch,
    )

    # Every run warns about s3prl/downstream/runner.py:295, and no user can act on it.
    warnings.filterwarnings("ignore", r"`torch\.cuda\.amp\.autocast", FutureWarning)
    repairs.apply()
    repairs.repair_checkpoint_saving()
    if (values.get("hub") == "huggingface" or values.get("push_to_hf_hub")) and repairs.hub_is_placeholder():
        raise InputError(
            "--hub huggingface and --push_to_hf_hub need an older library: pip install 'huggingface_hub<1.0'"
        )
    _check_device(values.get("device", "cpu"))
    registration.register(options)
    encoder = encoder_of({**values, **(restored or {})})
    if encoder and encoder.folder:
        expert_folders.register(encoder.folder)
    progress.install()
    row_gradients.install()
    reading_processes.install()
    if "local_rank" in values:
        distributed.repair()
    _check_upstream(values)
    if encoder and encoder.upstream != UPSTREAM and options and options.get("cache_dir"):
        from mmpt.upstream.s3prl_runner import cached_upstream

        cached_upstream.install(encoder, options, (values | (restored or {})).get("upstream_feature_selection"))
    import s3prl.run_downstream

    typed, plain_isinstance = sys.argv, builtins.isinstance
    sys.argv = [typed[0], *arguments.to_stock_argv(values)]
    observer = watch.Watch()
    observer.start()
    try:
        s3prl.run_downstream.main()
    finally:
        observer.stop()
        _note_observations(observer)
        # S3PRL replaces isinstance by a function that calls the former one twice (s3prl/utility/helper.py:63). Left in
        # place, each further run in this process would double the time of every call.
        sys.argv = typed
        vars(builtins)["isinstance"] = plain_isinstance


def _check_nothing_is_mixed(plan: Plan) -> None:
    """Refuse to train anew in the folder of an experiment, whose checkpoints S3PRL would mix with its own."""
    is_new = plan.values["mode"] == "train" and "past_exp" not in plan.values
    if is_new and any(Path(plan.expdir).glob("*.ckpt")):
        raise InputError(f"{plan.expdir}: holds an experiment already; -a resumes it, another -n starts a new one")


def _writes_diarization(plan: Plan) -> bool:
    """Return True if S3PRL will write SD's predictions: those of `test`, not of other splits."""
    is_sd = plan.task is not None and plan.task.name == "sd"
    return is_sd and plan.values["mode"] == "evaluate" and plan.values["evaluate_split"] == "test"


def _clear_predictions(plan: Plan) -> None:
    """Make the folder of SD's predictions, and delete those of an earlier evaluation.

    Diarization writes a file for each recording, into a folder that it makes only if `scoring` does not exist
    (s3prl/downstream/diarization/expert.py:84).
    """
    folder = Path(plan.expdir, "scoring", "predictions")
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.h5"):
        file.unlink()


def surroundings(samples: Callable[[], Path] = find_samples) -> Surroundings:
    """Return this process's working directory, environment, samples, device and checkpoint reader."""
    return Surroundings(Path.cwd(), os.environ, samples, best_device, read_checkpoint)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of S3PRL, its tensors left on disk; raise InputError if the file is not one."""
    import torch

    from mmpt.upstream.s3prl_runner import repairs

    repairs.repair_checkpoint_loading()
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        if vars(content["Args"]) and content["Config"]["runner"]:
            return content
    except Exception as error:  # torch.load raises many kinds of error for bad files
        raise InputError(f"{path}: not a whole checkpoint of S3PRL's runner ({type(error).__name__})") from error
    raise InputError(f"{path}: not a checkpoint of S3PRL's runner")


def best_device() -> str:
    """Return "cuda" if available, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _check_device(name: str) -> None:
    """Raise InputError for a device that is not there."""
    import torch

    try:
        kind = torch.device(name).type
    except RuntimeError:
        raise InputError(f"--device {name}: give cpu, cuda or cuda:NUMBER") from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError(f"--device {name}: PyTorch finds no GPU here")


def _check_upstream(values: dict[str, Any]) -> None:
    """Check the name of the upstream, unless `-e` restores it or Hugging Face's hub resolves it."""
    if values.get("upstream") is not None and "past_exp" not in values and values.get("hub") != "huggingface":
        check_upstream_name(values["upstream"])


def check_upstream_name(name: str) -> None:
    """Raise InputError if S3PRL, with ours registered, has no upstream of this name."""
    import s3prl.hub

    if not callable(getattr(s3prl.hub, name, None)):
        known = [*s3prl.hub.options(), UPSTREAM]
        hint = did_you_mean(name, known, most=3, otherwise="S3PRL has none of a similar name")
        if Path(name, EXPERT).is_file():
            hint = f"a folder is named with a slash: ./{name}"
        raise InputError(f"-u {name}: no such upstream; {hint}")


def _note_how_to_evaluate(plan: Plan) -> None:
    """Write the command that evaluates the new experiment."""
    if plan.task is None:
        return
    from mmpt.upstream.s3prl_runner.experiment import best_checkpoint

    try:
        checkpoint, is_best = best_checkpoint(plan.expdir, plan.task.name)
    except InputError:
        return  # a run shorter than its first save_step: S3PRL wrote no checkpoint
    program = sys.argv[0]
    start = f"python {shlex.quote(program)}" if program.endswith(".py") else Path(program).name  # `mmpt downstream`
    split = "" if plan.task.test_split == "test" else f" -t {plan.task.test_split}"
    if not is_best and plan.task.best_checkpoint:
        _note(f"no best checkpoint was written; the last one is {checkpoint}")
    _note(f"evaluate it:  {start} -m evaluate -e {shlex.quote(str(checkpoint))}{split}")


def _note_observations(observer: Any) -> None:
    """Write what S3PRL dropped silently, and how much the cache helped."""
    counts = observer.counts
    if dropped := counts["dropped_batches"]:
        _note(f"dropped batches: {dropped} (they did not fit the GPU's memory)")
    if skipped := counts["nan_steps"]:
        _note(f"nan steps: {skipped} (their gradient was NaN)")
    for split, ctc in counts["ctc"].items():
        if ctc["unalignable"]:
            share = 100 * ctc["unalignable"] / ctc["utterances"]
            _note(
                f"CTC, {split}: {share:.1f} % of utterances have more labels than the encoder has states, and do not "
                "count (frame_hop: 320 helps)"
            )
    cache: Any = getattr(observer.upstream, "cache", None)
    if hasattr(cache, "computed") and cache.read + cache.computed:
        _note(
            f"cache: {cache.read:,} utterances read, {cache.computed:,} computed; "
            f"{cache.root} holds {cache.held / 1e6:,.0f} MB"
        )


def _note(text: str) -> None:
    _write(f"[mmpt] {text}")


def _write(line: str) -> None:
    """Write a line to standard error, past any progress bar that S3PRL has open there."""
    if "tqdm" in sys.modules:
        sys.modules["tqdm"].tqdm.write(line, file=sys.stderr)
    else:
        print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
