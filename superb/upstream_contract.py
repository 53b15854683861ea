"""What S3PRL's runner expects of an upstream, ours or another's, tried out one expectation at a time."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmpt.upstream.mmpt_av.config import SAMPLE_RATE

PASS, WARN, FAIL = "pass", "warn", "FAIL"
SAME = 1e-4  # largest difference, as a share of the largest value, that rounding may make
TOLERATED_FRAMES = 5  # s3prl/upstream/interfaces.py:14


@dataclass
class Verdict:
    """One line: PASS, WARN or FAIL, the expectation, and what was seen."""

    level: str
    expected: str
    seen: str


class Upstream:
    """An upstream under test, and its answers in the one form that the checks use."""

    def __init__(self, model: nn.Module, device: str):
        self.model, self.device = model.to(device).eval(), device

    def states(self, wavs: list[Tensor], grad: bool = False) -> list[Tensor]:
        """Return all (B, T, C) that the featurizer would sum: `hidden_states`, else `last_hidden_state`.

        Raises:
            TypeError: the answer has neither.
        """
        with torch.set_grad_enabled(grad):
            answer = self.model([wav.to(self.device) for wav in wavs])
        if not isinstance(answer, dict):
            raise TypeError(f"forward returns a {type(answer).__name__}, not a dictionary")
        states = answer.get("hidden_states", answer.get("last_hidden_state"))
        if states is None:
            names = ", ".join(map(str, answer))
            raise TypeError(f"forward's dictionary has neither hidden_states nor last_hidden_state but {names}")
        return [states] if isinstance(states, Tensor) else list(states.values() if isinstance(states, dict) else states)

    @property
    def rate(self) -> int:
        """Samples under a state, as the upstream reports it."""
        ask: Callable[[str], int] = getattr(self.model, "get_downsample_rates")  # noqa: B009 (mypy sees a Tensor)
        return ask("hidden_states")


def noise(samples: int, seed: int = 0) -> Tensor:
    """Return noise (samples,), the same for the same numbers."""
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(1000 * seed + samples))


def check_shapes(upstream: Upstream) -> Iterator[Verdict]:
    """Check that all states have one shape, and finite values."""
    wavs = [noise(SAMPLE_RATE), noise(SAMPLE_RATE // 2), noise(3 * SAMPLE_RATE)]
    states = upstream.states(wavs)
    shapes = {tuple(layer.shape) for layer in states}
    fits = len(shapes) == 1 and len(next(iter(shapes))) == 3 and next(iter(shapes))[0] == len(wavs)
    seen = f"{len(states)} layers of shape {' or '.join(map(str, sorted(shapes)))} for {len(wavs)} waveforms"
    yield Verdict(PASS if fits else FAIL, "states are (B, T, C), of one shape", seen)
    finite = all(layer.isfinite().all() for layer in states)
    yield Verdict(PASS if finite else FAIL, "no NaN or infinite value", "noise of 0.5 to 3 s")


def check_rate(upstream: Upstream) -> Iterator[Verdict]:
    """Check that the upstream reports its rate as an int."""
    if not hasattr(upstream.model, "get_downsample_rates"):
        yield Verdict(FAIL, "get_downsample_rates", "there is none, and the runner asks for it")
        return
    rate = upstream.rate
    fits = type(rate) is int and rate > 0
    seen = f"{rate!r} samples" + (f", {1000 * rate / SAMPLE_RATE:g} ms" if fits else "")
    yield Verdict(PASS if fits else FAIL, "the rate is a whole number", seen)


def check_lengths(upstream: Upstream) -> Iterator[Verdict]:
    """Check the number of states, for S3PRL's featurizer and for ESPnet's."""
    rate = upstream.rate
    lengths = [*range(SAMPLE_RATE // 2, SAMPLE_RATE // 2 + 2 * rate, max(1, rate // 8)), 5 * SAMPLE_RATE + 1]
    frames = {n: upstream.states([noise(n)])[0].shape[1] for n in lengths}
    off = max(abs(frames[n] - round(n / rate)) for n in lengths)
    level = PASS if off < TOLERATED_FRAMES else FAIL
    yield Verdict(level, "T is round(samples / rate), give or take 4", f"at most {off} off")
    wrong = [n for n in lengths if frames[n] != math.ceil(n / rate)]
    seen = f"at {len(lengths)} lengths"
    if wrong:
        seen = f"not {seen}, e.g. {frames[wrong[0]]} for {wrong[0]} samples: ESPnet's S3PRLUpstream pads or cuts"
    yield Verdict(WARN if wrong else PASS, "T is ceil(samples / rate)", seen)


def check_batches(upstream: Upstream) -> Iterator[Verdict]:
    """Check that a batch's other utterances, and their order, change nothing."""
    wavs = [noise(SAMPLE_RATE, 1), noise(SAMPLE_RATE // 3, 2), noise(4 * SAMPLE_RATE, 3)]
    together = upstream.states(wavs)
    worst = 0.0
    for row, wav in enumerate(wavs):
        for batch, alone in zip(together, upstream.states([wav])):
            n = min(round(len(wav) / upstream.rate), alone.shape[1])
            worst = max(worst, _difference(batch[row, :n], alone[0, :n]))
    seen = f"largest difference {worst:.1e} of the largest value"
    if worst > SAME:
        seen += ": results depend on the batch size, and states cannot be kept"
    yield Verdict(PASS if worst <= SAME else WARN, "an utterance is the same alone and in a batch", seen)
    again = upstream.states(wavs[::-1])
    worst = max(_difference(a.flip(0), b) for a, b in zip(again, together))
    seen = f"largest difference {worst:.1e}"
    yield Verdict(PASS if worst <= SAME else WARN, "the order of a batch does not matter", seen)


def check_determinism(upstream: Upstream) -> Iterator[Verdict]:
    """Check that two passes agree."""
    wavs = [noise(SAMPLE_RATE, 4), noise(2 * SAMPLE_RATE, 5)]
    worst = max(_difference(a, b) for a, b in zip(upstream.states(wavs), upstream.states(wavs)))
    level = PASS if worst == 0 else WARN if worst <= SAME else FAIL
    yield Verdict(level, "the same input gives the same output", f"largest difference {worst:.1e}")


def check_short(upstream: Upstream) -> Iterator[Verdict]:
    """Check very short inputs, and silence."""
    broken = []
    for samples in (1, 100, 399, 640, 1039):
        try:
            states = upstream.states([noise(samples)])
            if not all(layer.shape[1] and layer.isfinite().all() for layer in states):
                broken.append(f"{samples} samples: {'NaN' if states[0].shape[1] else 'no state'}")
        except Exception as error:  # an upstream may raise anything
            broken.append(f"{samples} samples: {type(error).__name__}")
    seen = "; ".join(broken) or "1 to 1039 samples"
    yield Verdict(WARN if broken else PASS, "short inputs (SD has chunks of one frame)", seen)
    silent = upstream.states([torch.zeros(SAMPLE_RATE)])
    finite = all(layer.isfinite().all() for layer in silent)
    yield Verdict(PASS if finite else WARN, "digital silence", "finite" if finite else "NaN")


def check_long(upstream: Upstream, seconds: int) -> Iterator[Verdict]:
    """Check that a long input is not cut off."""
    frames = upstream.states([noise(seconds * SAMPLE_RATE)])[0].shape[1]
    wanted = round(seconds * SAMPLE_RATE / upstream.rate)
    fits = abs(frames - wanted) < TOLERATED_FRAMES
    seen = f"{frames} states, {wanted} expected" + ("" if fits else ": cut off?")
    yield Verdict(PASS if fits else FAIL, f"a long input ({seconds} s)", seen)


def check_featurizer(upstream: Upstream) -> Iterator[Verdict]:
    """Check that S3PRL's own featurizer gets the states it needs."""
    from s3prl.upstream.interfaces import Featurizer

    featurizer = Featurizer(upstream.model, "hidden_states", upstream_device=upstream.device).to(upstream.device)
    wavs = [noise(SAMPLE_RATE).to(upstream.device), noise(SAMPLE_RATE // 3).to(upstream.device)]
    with torch.no_grad():
        items = featurizer(wavs, upstream.model(wavs))
    shapes = [tuple(item.shape) for item in items]
    wanted = [(round(len(wav) / upstream.rate), featurizer.output_dim) for wav in wavs]
    seen = f"{', '.join(map(str, shapes))} for 1 s and 1/3 s"
    yield Verdict(PASS if shapes == wanted else WARN, "S3PRL's featurizer takes it", seen)


def check_fine_tuning(upstream: Upstream) -> Iterator[Verdict]:
    """Check that gradients reach the parameters, as fine-tuning needs."""
    expected, parameters = "gradients under -f", list(upstream.model.named_parameters())
    if not parameters:
        yield Verdict(PASS, expected, "nothing to train")
        return
    upstream.model.train()
    try:
        states = upstream.states([noise(SAMPLE_RATE), noise(SAMPLE_RATE // 2)], grad=True)
        torch.stack([layer.float().square().mean() for layer in states]).sum().backward()
    finally:
        upstream.model.eval()
    without = [name for name, one in parameters if one.requires_grad and one.grad is None]
    broken = [name for name, one in parameters if one.grad is not None and not one.grad.isfinite().all()]
    upstream.model.zero_grad(set_to_none=True)
    if broken or len(without) == len(parameters):
        yield Verdict(FAIL, expected, f"NaN in {broken[0]}" if broken else "none reaches a parameter")
    else:
        seen = f"{len(parameters) - len(without)} of {len(parameters)} parameters"
        seen += f", not {without[0]}" if without else ""
        yield Verdict(WARN if without else PASS, expected, seen)


def check_contract(upstream: Upstream, long_s: int) -> Iterator[Verdict]:
    """Run all checks; one that raises is a FAIL, and the others still run. `long_s`: seconds of the long input."""
    checks: dict[str, Callable[[Upstream], Iterator[Verdict]]] = {
        "shapes": check_shapes,
        "rate": check_rate,
        "lengths": check_lengths,
        "batches": check_batches,
        "determinism": check_determinism,
        "short": check_short,
        "long input": lambda upstream: check_long(upstream, long_s),
        "featurizer": check_featurizer,
        "fine tuning": check_fine_tuning,
    }
    for name, check in checks.items():
        try:
            yield from check(upstream)
        except Exception as error:  # an upstream may raise anything
            yield Verdict(FAIL, name, f"{type(error).__name__}: {' '.join(str(error).split())}")


def _difference(one: Tensor, other: Tensor) -> float:
    """Return the largest difference, as a share of the largest value; infinite for other shapes."""
    if one.shape != other.shape:
        return math.inf
    scale = max(one.abs().max().item(), other.abs().max().item(), 1e-12) if one.numel() else 1.0
    return (one - other).abs().max().item() / scale if one.numel() else 0.0
