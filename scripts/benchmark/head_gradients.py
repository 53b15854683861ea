"""Time a training step of S3PRL's utterance-level head with our gradients of its rows against PyTorch's own.

The head is that of keyword spotting and intent classification: S3PRL's featurizer, padding, projector, mean pooling and
classifier, from states that are there already. Both contenders take turns in one process, and their gradients must be
equal in all bits.
"""

import argparse
import inspect
import sys

from mmpt.upstream.command import clean_exit

EXAMPLES = """\
examples:
  python scripts/benchmark/head_gradients.py                              SUPERB's batch of 32, 2 to 4 s each
  python scripts/benchmark/head_gradients.py --batch 128 --device cuda
"""
LAYERS, CHANNELS, SAMPLES = 5, 192, 640  # of a `compact` encoder; SAMPLES of sound for each state
PROJECTED, CLASSES = 256, 24  # of SUPERB's head
PLAIN, OURS = "PyTorch's", "ours"


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--batch", type=int, default=32, help="utterances (default: %(default)s)")
    p.add_argument("--states", type=int, default=100, help="of the longest utterance (default: %(default)s, 4 s)")
    p.add_argument("--rounds", type=int, default=51, help="timed steps of each (default: %(default)s)")
    p.add_argument("--threads", type=int, default=1, help="threads of the processor (default: %(default)s)")
    p.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="(default: %(default)s)")
    p.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return the exit status, 1 if the gradients differ."""
    options = parser().parse_args(argv)

    import torch

    from mmpt.scripts.benchmark.timing import in_turn, ratios, spread
    from mmpt.upstream.s3prl_runner import repairs, row_gradients

    repairs.apply()
    from s3prl.downstream.model import MeanPooling
    from s3prl.upstream.interfaces import Featurizer
    from torch import nn

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    device, pooling = torch.device(options.device), MeanPooling()
    layers = [torch.randn(options.batch, options.states, CHANNELS, device=device) for _ in range(LAYERS)]
    lengths = torch.linspace(options.states / 2, options.states, options.batch).int().tolist()
    wavs = [torch.empty(SAMPLES * length) for length in lengths]
    upstream = nn.Module()  # the featurizer asks it for the states of a second, and for their rate
    a_second = {"hidden_states": [layer[:1, : 16000 // SAMPLES] for layer in layers]}
    vars(upstream).update(forward=lambda _: a_second, get_downsample_rates=lambda _: SAMPLES)
    featurizer = Featurizer(upstream, "hidden_states", upstream_device=options.device).to(device)
    projector, classifier = (nn.Linear(*sizes).to(device) for sizes in ((CHANNELS, PROJECTED), (PROJECTED, CLASSES)))
    weights = [*featurizer.parameters(), *projector.parameters(), *classifier.parameters()]

    def step(pad, pool) -> list[torch.Tensor]:
        """Return the gradients of one step."""
        rows = pad(featurizer(wavs, {"hidden_states": layers}), batch_first=True)
        pooled, _ = pool(pooling, projector(rows), lengths)
        return list(torch.autograd.grad(classifier(pooled).logsumexp(1).mean(), weights))

    plain = inspect.unwrap(MeanPooling.forward)  # a run of S3PRL in this process may have installed ours
    contenders = {
        PLAIN: lambda: step(row_gradients.torch_pad_sequence, plain),
        OURS: lambda: step(row_gradients.pad_sequence, row_gradients.by_rows(plain)),
    }
    same = all(torch.equal(a, b) for a, b in zip(contenders[OURS](), contenders[PLAIN](), strict=True))
    times = in_turn(contenders, options.rounds, device, "steps")
    for name, found in times.items():
        print(f"{name}: {spread([1000 * one for one in found])} ms a step")
    print(f"{PLAIN} ÷ {OURS}: {spread(ratios(times[PLAIN], times[OURS]))}")
    print(f"gradients: {'the same bits' if same else 'DIFFERENT'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
