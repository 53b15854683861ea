"""Tries whether an upstream, ours or another's, keeps what S3PRL's runner expects of it, and says what it finds."""

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.s3prl_runner import registration, repairs
from mmpt.upstream.s3prl_runner.launcher import best_device, check_upstream_name

RATE = 16000
EXAMPLES = """\
examples:
  python scripts/superb/check_upstream.py -u mmpt_av -k encoder.pt
  python scripts/superb/check_upstream.py -u fbank
  python scripts/superb/check_upstream.py -u mmpt_av -k encoder.pt -g options.yaml --long 600

pass: as it should be. warn: the runner gets along, but read on. FAIL: the runner would stop, or give wrong figures.
Exit status: 0 no FAIL, 1 a FAIL, 2 bad input.
"""
PASS, WARN, FAIL = "pass", "warn", "FAIL"
SAME = 1e-4  # largest difference, of the largest value, that rounding may make
TOLERATED_FRAMES = 5  # s3prl/upstream/interfaces.py:14


@dataclass
class Verdict:
    """One line: PASS, WARN or FAIL, what was tried, what was seen."""

    level: str
    what: str
    seen: str


class Upstream:
    """An upstream under test, and its answers in the one form that the checks use."""

    def __init__(self, model: torch.nn.Module, device: str):
        self.model, self.device = model.to(device).eval(), device

    def states(self, wavs: list[Tensor], grad: bool = False) -> list[Tensor]:
        """All (B, T, C) that the featurizer would sum: `hidden_states`, else `last_hidden_state`.

        Raises:
            TypeError: the answer is none of that.
        """
        with torch.set_grad_enabled(grad):
            answer = self.model([wav.to(self.device) for wav in wavs])
        if not isinstance(answer, dict):
            raise TypeError(f"forward returns a {type(answer).__name__}, not a dictionary")
        states = answer.get("hidden_states", answer.get("last_hidden_state"))
        if states is None:
            raise TypeError(
                f"forward's dictionary has neither hidden_states nor last_hidden_state but {', '.join(map(str, answer))}"
            )
        return [states] if isinstance(states, Tensor) else list(states.values() if isinstance(states, dict) else states)

    @property
    def rate(self) -> int:
        return self.model.get_downsample_rates("hidden_states")


def sound(samples: int, seed: int = 0) -> Tensor:
    """Noise (samples,), the same for the same numbers."""
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(1000 * seed + samples))


def check_shapes(upstream: Upstream) -> Iterator[Verdict]:
    wavs = [sound(RATE), sound(RATE // 2), sound(3 * RATE)]
    states = upstream.states(wavs)
    shapes = {tuple(layer.shape) for layer in states}
    fits = len(shapes) == 1 and len(next(iter(shapes))) == 3 and next(iter(shapes))[0] == len(wavs)
    seen = f"{len(states)} layers of shape {' or '.join(map(str, sorted(shapes)))} for {len(wavs)} waveforms"
    yield Verdict(PASS if fits else FAIL, "states are (B, T, C), of one shape", seen)
    finite = all(layer.isfinite().all() for layer in states)
    yield Verdict(PASS if finite else FAIL, "no NaN or infinite value", "noise of 0.5 to 3 s")


def check_rate(upstream: Upstream) -> Iterator[Verdict]:
    if not hasattr(upstream.model, "get_downsample_rates"):
        yield Verdict(FAIL, "get_downsample_rates", "there is none, and the runner asks for it")
        return
    rate = upstream.rate
    fits = type(rate) is int and rate > 0
    yield Verdict(
        PASS if fits else FAIL,
        "the rate is a whole number",
        f"{rate!r} samples" + (f", {1000 * rate / RATE:g} ms" if fits else ""),
    )


def check_lengths(upstream: Upstream) -> Iterator[Verdict]:
    rate = upstream.rate
    lengths = [*range(RATE // 2, RATE // 2 + 2 * rate, max(1, rate // 8)), 5 * RATE + 1]
    frames = {n: upstream.states([sound(n)])[0].shape[1] for n in lengths}
    off = max(abs(frames[n] - round(n / rate)) for n in lengths)
    yield Verdict(
        PASS if off < TOLERATED_FRAMES else FAIL, "T is round(samples / rate), give or take 4", f"at most {off} off"
    )
    wrong = [n for n in lengths if frames[n] != math.ceil(n / rate)]
    seen = f"at {len(lengths)} lengths"
    if wrong:
        seen = f"not {seen}, e.g. {frames[wrong[0]]} for {wrong[0]} samples: ESPnet's S3PRLUpstream pads or cuts"
    yield Verdict(WARN if wrong else PASS, "T is ceil(samples / rate)", seen)


def check_batches(upstream: Upstream) -> Iterator[Verdict]:
    wavs = [sound(RATE, 1), sound(RATE // 3, 2), sound(4 * RATE, 3)]
    together = upstream.states(wavs)
    worst = 0.0
    for row, wav in enumerate(wavs):
        for batch, alone in zip(together, upstream.states([wav])):
            n = min(round(len(wav) / upstream.rate), alone.shape[1])
            worst = max(worst, _difference(batch[row, :n], alone[0, :n]))
    seen = f"largest difference {worst:.1e} of the largest value"
    if worst > SAME:
        seen += ": results hang on the batch size, and states cannot be kept"
    yield Verdict(PASS if worst <= SAME else WARN, "an utterance is the same alone and in a batch", seen)
    again = upstream.states(wavs[::-1])
    worst = max(_difference(a.flip(0), b) for a, b in zip(again, together))
    yield Verdict(
        PASS if worst <= SAME else WARN, "the order of a batch does not matter", f"largest difference {worst:.1e}"
    )


def check_determinism(upstream: Upstream) -> Iterator[Verdict]:
    wavs = [sound(RATE, 4), sound(2 * RATE, 5)]
    worst = max(_difference(a, b) for a, b in zip(upstream.states(wavs), upstream.states(wavs)))
    yield Verdict(
        PASS if worst == 0 else WARN if worst <= SAME else FAIL,
        "the same input gives the same output",
        f"largest difference {worst:.1e}",
    )


def check_short(upstream: Upstream) -> Iterator[Verdict]:
    broken = []
    for samples in (1, 100, 399, 640, 1039):
        try:
            states = upstream.states([sound(samples)])
            if not all(layer.shape[1] and layer.isfinite().all() for layer in states):
                broken.append(f"{samples} samples: {'NaN' if states[0].shape[1] else 'no state'}")
        except Exception as error:  # an upstream may raise anything
            broken.append(f"{samples} samples: {type(error).__name__}")
    yield Verdict(
        WARN if broken else PASS, "short inputs (SD has chunks of one frame)", "; ".join(broken) or "1 to 1039 samples"
    )
    silent = upstream.states([torch.zeros(RATE)])
    finite = all(layer.isfinite().all() for layer in silent)
    yield Verdict(PASS if finite else WARN, "digital silence", "finite" if finite else "NaN")


def check_long(upstream: Upstream, seconds: int) -> Iterator[Verdict]:
    frames = upstream.states([sound(seconds * RATE)])[0].shape[1]
    wanted = round(seconds * RATE / upstream.rate)
    fits = abs(frames - wanted) < TOLERATED_FRAMES
    yield Verdict(
        PASS if fits else FAIL,
        f"a long input ({seconds} s)",
        f"{frames} states, {wanted} expected" + ("" if fits else ": cut off?"),
    )


def check_featurizer(upstream: Upstream) -> Iterator[Verdict]:
    from s3prl.upstream.interfaces import Featurizer

    featurizer = Featurizer(upstream.model, "hidden_states", upstream_device=upstream.device).to(upstream.device)
    wavs = [sound(RATE).to(upstream.device), sound(RATE // 3).to(upstream.device)]
    with torch.no_grad():
        items = featurizer(wavs, upstream.model(wavs))
    shapes = [tuple(item.shape) for item in items]
    wanted = [(round(len(wav) / upstream.rate), featurizer.output_dim) for wav in wavs]
    yield Verdict(
        PASS if shapes == wanted else WARN,
        "S3PRL's featurizer takes it",
        f"{', '.join(map(str, shapes))} for 1 s and 1/3 s",
    )


def check_fine_tuning(upstream: Upstream) -> Iterator[Verdict]:
    parameters = list(upstream.model.named_parameters())
    if not parameters:
        yield Verdict(PASS, "gradients under -f", "nothing to train")
        return
    upstream.model.train()
    try:
        states = upstream.states([sound(RATE), sound(RATE // 2)], grad=True)
        sum(layer.float().square().mean() for layer in states).backward()
    finally:
        upstream.model.eval()
    without = [name for name, parameter in parameters if parameter.requires_grad and parameter.grad is None]
    broken = [
        name for name, parameter in parameters if parameter.grad is not None and not parameter.grad.isfinite().all()
    ]
    upstream.model.zero_grad(set_to_none=True)
    if broken or len(without) == len(parameters):
        yield Verdict(FAIL, "gradients under -f", f"NaN in {broken[0]}" if broken else "none reaches a parameter")
    else:
        seen = f"{len(parameters) - len(without)} of {len(parameters)} parameters" + (
            f", not {without[0]}" if without else ""
        )
        yield Verdict(WARN if without else PASS, "gradients under -f", seen)


def verdicts(upstream: Upstream, long_s: int) -> Iterator[Verdict]:
    """All checks; one that raises is a FAIL, and the others go on."""
    checks: list[Callable] = [
        check_shapes,
        check_rate,
        check_lengths,
        check_batches,
        check_determinism,
        check_short,
        lambda u: check_long(u, long_s),
        check_featurizer,
        check_fine_tuning,
    ]
    for check in checks:
        try:
            yield from check(upstream)
        except Exception as error:  # an upstream may raise anything
            name = (
                getattr(check, "__name__", "")
                .removeprefix("check_")
                .replace("_", " ")
                .replace("<lambda>", "long input")
            )
            yield Verdict(FAIL, name, f"{type(error).__name__}: {' '.join(str(error).split())}")


def load(name: str, ckpt: str | None, config: str | None, device: str) -> Upstream:
    """The upstream as the runner makes it.

    Raises:
        InputError: S3PRL has none of this name, or a file is missing.
    """
    for flag, file in (("-k", ckpt if name == registration.UPSTREAM else None), ("-g", config)):
        if file is not None and not Path(file).is_file():
            raise InputError(f"{flag} {file}: no such file")
    if name == registration.UPSTREAM and ckpt is None:
        raise InputError("-u mmpt_av needs -k CKPT")
    repairs.apply()
    registration.register()
    check_upstream_name(name)
    import s3prl.hub

    return Upstream(getattr(s3prl.hub, name)(ckpt=ckpt, model_config=config, refresh=False), device)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("-u", "--upstream", required=True, metavar="NAME", help="mmpt_av, or an upstream of S3PRL's")
    p.add_argument("-k", "--upstream_ckpt", metavar="CKPT", help="its checkpoint, where it needs one")
    p.add_argument("-g", "--upstream_model_config", metavar="FILE", help="its configuration, where it needs one")
    p.add_argument("--long", type=int, default=60, metavar="S", help="seconds of the long input; default: %(default)s")
    p.add_argument("--device", choices=["cuda", "cpu"], help="default: cuda where there is one")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Checks; returns the exit status."""
    arguments = parser().parse_args(argv)
    upstream = load(
        arguments.upstream, arguments.upstream_ckpt, arguments.upstream_model_config, arguments.device or best_device()
    )
    failed = False
    for verdict in verdicts(upstream, arguments.long):
        print(f"{verdict.level}  {verdict.what}: {verdict.seen}")
        failed |= verdict.level == FAIL
    return int(failed)


def _difference(one: Tensor, other: Tensor) -> float:
    """Largest difference, as a share of the largest value; infinite for other shapes."""
    if one.shape != other.shape:
        return math.inf
    scale = max(one.abs().max().item(), other.abs().max().item(), 1e-12) if one.numel() else 1.0
    return (one - other).abs().max().item() / scale if one.numel() else 0.0


if __name__ == "__main__":
    sys.exit(main())
