"""BLEU and chrF by sacrebleu, with the signatures that make them comparable, and tables of example translations."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.significance import PairedTest, Result

if TYPE_CHECKING:
    from mmpt.midtrain.segments import Segment  # needs torch

EXAMPLES = 20  # segments in a table of examples


@dataclass(frozen=True)
class Scores:
    """Scores of a whole split."""

    bleu: float  # 0 to 100
    chrf: float  # 0 to 100
    signatures: dict[str, str]  # how sacrebleu computed each score
    lines: list[str]  # scores and signatures, to be printed
    intervals: dict[str, tuple[float, float]]  # 95 %, of each score; empty unless asked for

    def text(self, title: str, segments: "list[Segment]", hypotheses: list[str]) -> str:
        """Return a text with the scores, and each segment's transcript, reference and hypothesis."""
        blocks = [
            f"{s.id}\n  en  {s.source}\n  ref {s.target}\n  hyp {hypothesis}"
            for s, hypothesis in zip(segments, hypotheses)
        ]
        return "\n\n".join(["\n".join([title, *self.lines]), *blocks]) + "\n"


def metrics_of(language: str) -> dict[str, BLEU | CHRF]:
    """Return the metrics of translations into `language`, by name."""
    return {"BLEU": BLEU(tokenize=tokenizer(language)), "chrF": CHRF()}


def score_translations(
    hypotheses: list[str], references: list[str], language: str, with_intervals: bool = False
) -> Scores:
    """Score translations into `language`; both lists have the same order. A single segment has no intervals."""
    metrics = metrics_of(language)
    found = {name: metric.corpus_score(hypotheses, [references]) for name, metric in metrics.items()}
    signatures = {name: str(metric.get_signature()) for name, metric in metrics.items()}
    intervals: dict[str, tuple[float, float]] = {}
    if with_intervals and len(hypotheses) > 1:
        resampled = paired_test([hypotheses], references, metrics, "bs")  # corpus_score fails where a resample scores 0
        intervals = {name: interval_of(result) for name, (_, (result,)) in resampled.items()}
        signatures = {name: signature for name, (signature, _) in resampled.items()}
    lines = [f"{result}  {signatures[name]}" for name, result in found.items()]
    if intervals:
        texts = (f"{name} {found[name].score:.1f}, 95 % interval {as_text(one)}" for name, one in intervals.items())
        lines.insert(0, "; ".join(texts))
    return Scores(found["BLEU"].score, found["chrF"].score, signatures, lines, intervals)


def paired_test(
    systems: list[list[str]], references: list[str], metrics: dict[str, BLEU | CHRF], test: str
) -> dict[str, tuple[str, list[Result]]]:
    """Return sacrebleu's signature and its results, one a system, by the metrics' names. The seed is fixed.

    Args:
        systems: the translations of each; with a single system, nothing is tested.
        references: of the same segments.
        metrics: by name.
        test: "ar", approximate randomization, or "bs", paired bootstrap, which also finds intervals.
    """
    named: list[tuple[str, Sequence[str]]] = [(str(number), one) for number, one in enumerate(systems)]
    signatures, found = PairedTest(named, metrics, [references], test_type=test)()
    columns = list(found.values())[1:]  # in the order of the metrics; the first one has the systems' names
    return {
        name: (str(signature), cast(list[Result], column))
        for name, signature, column in zip(metrics, signatures.values(), columns, strict=True)
    }


def interval_of(result: Result) -> tuple[float, float]:
    """Return the 95 % interval of a bootstrap, inside 0 to 100.

    It is the mean of the resamples, plus and minus half the distance between their 2.5th and 97.5th percentiles.
    """
    assert result.mean is not None and result.ci is not None
    return max(0.0, float(result.mean - result.ci)), min(100.0, float(result.mean + result.ci))


def as_text(interval: tuple[float, float]) -> str:
    """Return an interval in words."""
    return f"{interval[0]:.1f} to {interval[1]:.1f}"


def tokenizer(language: str) -> str:
    """Return the name of BLEU's tokenizer; the default, 13a, is for scripts with spaces. The signature names it."""
    if language == "ja":  # the field uses MeCab, which is an extra of sacrebleu
        return "ja-mecab" if importlib.util.find_spec("MeCab") else "char"
    return "zh" if language == "zh" else "13a"


def example_table(title: str, scores: Scores, segments: "list[Segment]", hypotheses: list[str]) -> str:
    """Return a Markdown page with the scores and a table of evenly chosen translations, from best to worst by chrF."""
    chrf = CHRF()
    rated = sorted(
        ((chrf.sentence_score(text, [s.target]).score, s, text) for s, text in zip(segments, hypotheses)),
        key=lambda row: (-row[0], row[1].id),
    )
    number = min(EXAMPLES, len(rated))
    chosen = [rated[round(n * (len(rated) - 1) / max(1, number - 1))] for n in range(number)]
    rows = [
        f"| {value:.1f} | {' | '.join(cell(text) for text in (s.source, s.target, hypothesis))} | {s.id} |"
        for value, s, hypothesis in chosen
    ]
    head = f"{number} of {len(rated)} segments, from the best to the worst by chrF:"
    return "\n".join(
        [
            f"# {title}",
            "",
            *(f"- {line}" for line in scores.lines),
            "",
            head,
            "",
            "| chrF | transcript | reference | translation | segment |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def cell(text: str) -> str:
    """Return a text as a cell of a Markdown table."""
    return text.replace("|", "\\|") or " "
