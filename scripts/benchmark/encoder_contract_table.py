"""How encoders of several kinds behave behind S3PRL's interface: lengths, padding, determinism, .half(), time, MACs.

Weights are random where none are given: none of these facts but time depends much on them, and time does not at all.
Nothing is downloaded. Each encoder runs in a process of its own, on the CPU.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmpt.upstream.command import clean_exit
from mmpt.upstream.errors import InputError
from mmpt.upstream.files import write_text
from mmpt.upstream.s3prl_runner.encoder_names import FORM, read, split

if TYPE_CHECKING:
    from torch import Tensor, nn

EXAMPLES = """\
examples:
  python scripts/benchmark/encoder_contract_table.py --out table.md
  python scripts/benchmark/encoder_contract_table.py --encoder fbank --encoder mine=my_experts/good
"""
# Encoders of transformers: our name, their own, changes to the default sizes, feature extractor and its settings. The
# default sizes are those of the base models, but of SEW-D tiny and wav2vec2-BERT's only one.
WAVEFORM = "Wav2Vec2FeatureExtractor"
FAMILIES: tuple[tuple[str, str, dict[str, int], str, dict[str, bool]], ...] = (
    ("wav2vec 2.0 base", "wav2vec2", {}, WAVEFORM, {"do_normalize": True}),
    ("HuBERT base", "hubert", {}, WAVEFORM, {"do_normalize": True}),
    ("WavLM base", "wavlm", {}, WAVEFORM, {"do_normalize": False}),
    ("data2vec-audio base", "data2vec-audio", {}, WAVEFORM, {"do_normalize": True, "return_attention_mask": True}),
    ("SEW-D tiny", "sew-d", {}, WAVEFORM, {"do_normalize": True}),
    ("wav2vec2-BERT", "wav2vec2-bert", {}, "SeamlessM4TFeatureExtractor", {}),
    (
        "Whisper base",
        "whisper",
        {
            "d_model": 512,
            "encoder_layers": 6,
            "encoder_attention_heads": 8,
            "encoder_ffn_dim": 2048,
            "decoder_layers": 1,  # which no state depends on
            "decoder_attention_heads": 8,
        },
        "WhisperFeatureExtractor",
        {},
    ),
)
STOCK = ("fbank", "mel", "mfcc", "spectrogram")  # of S3PRL's, without a checkpoint
STOCK_LOADED = ("wav2vec2", "hubert")  # which S3PRL, too, can load in transformers' form
RATE = 16000
LENGTHS = range(RATE, RATE + 1300, 107)  # samples: for the rule of lengths
SHORT_S, LONG_S, TIMED_S, REPEATS = 1, 4, 10, 3
HEADS = ("encoder", "states", "hop", "T of N samples", "padding", "same twice", ".half()", "s for a second", "GMAC/s")


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    p = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        "--encoder",
        action="append",
        default=[],
        metavar=f"[NAME=]{FORM}",
        help="measure these instead; may be given again",
    )
    p.add_argument("--out", type=Path, metavar="FILE", help="write the table there, too, as Markdown")
    p.add_argument("--answer", type=Path, help=argparse.SUPPRESS)  # of the process of one encoder
    return p


@clean_exit
def main(argv: list[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    options = parser().parse_args(argv)
    if options.answer:
        write_text(options.answer, json.dumps(measure(options.encoder[0])))
        return 0
    with tempfile.TemporaryDirectory() as place:
        named = (text.partition("=")[::2] for text in options.encoder) if options.encoder else made(Path(place))
        rows = [row_of(name, text, Path(place, "answer.json")) for name, text in named]
    table = markdown([HEADS, *rows])
    print(table)
    if options.out:
        write_text(options.out, table + "\n")
    return 0


def made(place: Path) -> Iterator[tuple[str, str]]:
    """Make encoders with random weights, one after the other; yield name and text of each."""
    import transformers

    from mmpt.scripts.export import write_untrained

    write_untrained("base", 0, place / "base.pt")
    yield "mmpt_av base", f"mmpt_av:{place}/base.pt"
    yield from ((name, name) for name in STOCK)
    transformers.utils.logging.disable_progress_bar()
    for name, family, sizes, extractor, settings in FAMILIES:
        config = transformers.AutoConfig.for_model(family, **sizes)
        transformers.AutoModel.from_config(config).save_pretrained(place / family)
        getattr(transformers, extractor)(**settings).save_pretrained(place / family)
        yield name, f"hf:{place}/{family}"
        if family in STOCK_LOADED:
            yield f"{name} by S3PRL's hf_{family}_custom", f"hf_{family}_custom:{place}/{family}"
        shutil.rmtree(place / family)


def row_of(name: str, text: str, answer: Path) -> list[str]:
    """Measure an encoder in a process of its own. Raises InputError."""
    encoder = text or name
    split(encoder)  # reports a mistake
    answer.unlink(missing_ok=True)
    command = [sys.executable, __file__, "--encoder", encoder, "--answer", str(answer)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not answer.is_file():
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"{name}: {last.removeprefix('error: ')}")
    print(f"{name}: measured", file=sys.stderr, flush=True)
    cells: list[str] = json.loads(answer.read_text(encoding="utf-8"))
    return [name, *cells]


def measure(text: str) -> list[str]:
    """Return the cells of an encoder's row, in this process."""
    import torch

    from mmpt.upstream.operations import operation_counter
    from mmpt.upstream.s3prl_runner.building import build

    torch.manual_seed(0)
    model = build(read(text))
    rate: Any = model.get_downsample_rates  # mypy takes attributes of modules for tensors
    hop, noise = rate("hidden_states"), 0.1 * torch.randn(TIMED_S * RATE)
    layers = states(model, [noise[:RATE]])
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        states(model, [noise])
        times.append((time.perf_counter() - started) / TIMED_S)
    with operation_counter() as counter, torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        states(model, [noise])
    return [
        f"{len(layers)} × {layers[0].shape[-1]}",
        str(hop),
        length_rule(model, noise, hop),
        f"{padding_change(model, noise):.1e}",
        "yes" if all(map(torch.equal, layers, states(model, [noise[:RATE]]))) else "no",
        half_precision(model, noise[:RATE], layers),
        f"{min(times):.3f}",
        f"{counter.get_total_flops() / 2 / TIMED_S / 1e9:.2f}",
    ]


def states(model: "nn.Module", wavs: "list[Tensor]") -> "list[Tensor]":
    """Return the hidden states, a list of (B, T, C)."""
    import torch

    with torch.no_grad():
        found = model(wavs)["hidden_states"]
    return [found] if isinstance(found, torch.Tensor) else list(found)


def length_rule(model: "nn.Module", noise: "Tensor", hop: int) -> str:
    """Return the rule that gives T at all lengths tried, or the range around round(N / hop)."""
    counts = {n: states(model, [noise[:n]])[0].shape[1] for n in LENGTHS}
    rules = {
        "ceil(N / hop)": lambda n: -(-n // hop),
        "floor(N / hop)": lambda n: n // hop,
        "floor(N / hop) + 1": lambda n: n // hop + 1,
        "round(N / hop)": lambda n: round(n / hop),
        "floor((N − 400) / hop) + 1": lambda n: (n - 400) // hop + 1,
    }
    for rule, expected in rules.items():
        if all(expected(n) == count for n, count in counts.items()):
            return rule
    off = [count - round(n / hop) for n, count in counts.items()]
    return f"round(N / hop) {min(off):+d} to {max(off):+d}"


def padding_change(model: "nn.Module", noise: "Tensor") -> float:
    """Return by how much a longer neighbour in the batch changes an utterance's states, relative to the largest."""
    short, long = noise[: SHORT_S * RATE], noise[-LONG_S * RATE :]
    worst = 0.0
    for alone, batch in zip(states(model, [short]), states(model, [short, long])):
        n = alone.shape[1]
        worst = max(worst, ((batch[0, :n] - alone[0]).abs().max() / alone.abs().max()).item())
    return worst


def half_precision(model: "nn.Module", wav: "Tensor", layers: "list[Tensor]") -> str:
    """Return what `.half()` changes in the last state, relative to the largest value, or that it does not run."""
    import torch

    if not any(True for _ in model.parameters()):
        return "no weights"
    try:
        found = states(model.half(), [wav])[-1].float()
    except (RuntimeError, ValueError, TypeError) as error:
        return f"stops ({type(error).__name__})"
    change = (found - layers[-1]).abs().max() / layers[-1].abs().max()
    return f"{change.item():.1e}" if torch.isfinite(found).all() else "not finite"


def markdown(rows: "list[list[str] | tuple[str, ...]]") -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


if __name__ == "__main__":
    sys.exit(main())
