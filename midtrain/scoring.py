"""BLEU and chrF by sacrebleu, with the signatures that make them comparable, and examples to look at."""

import importlib.util
from dataclasses import dataclass

from sacrebleu.metrics import BLEU, CHRF

from mmpt.midtrain.segments import Segment

EXAMPLES = 20  # segments in a table


@dataclass(frozen=True)
class Scores:
    """bleu, chrf: 0 to 100, of the whole; signatures: how each was computed."""

    bleu: float
    chrf: float
    signatures: dict[str, str]
    lines: list[str]  # for people

    def text(self, title: str, segments: list[Segment], hypotheses: list[str]) -> str:
        """All segments with transcript, reference and hypothesis, under the scores."""
        blocks = [
            f"{s.id}\n  en  {s.source}\n  ref {s.target}\n  hyp {hypothesis}"
            for s, hypothesis in zip(segments, hypotheses)
        ]
        return "\n\n".join(["\n".join([title, *self.lines]), *blocks]) + "\n"


def score(hypotheses: list[str], references: list[str], language: str) -> Scores:
    """Scores of translations into `language`, both lists in the same order."""
    bleu, chrf = BLEU(tokenize=tokenizer(language)), CHRF()
    found = {
        "BLEU": (bleu.corpus_score(hypotheses, [references]), bleu),
        "chrF": (chrf.corpus_score(hypotheses, [references]), chrf),
    }
    signatures = {name: str(metric.get_signature()) for name, (_, metric) in found.items()}
    lines = [f"{result}  {signatures[name]}" for name, (result, _) in found.items()]
    return Scores(found["BLEU"][0].score, found["chrF"][0].score, signatures, lines)


def tokenizer(language: str) -> str:
    """What cuts texts into words for BLEU: 13a, the default, is for scripts with spaces. The signature names it."""
    if language == "ja":  # MeCab is what the field uses, and an extra of sacrebleu's
        return "ja-mecab" if importlib.util.find_spec("MeCab") else "char"
    return "zh" if language == "zh" else "13a"


def examples(title: str, scores: Scores, segments: list[Segment], hypotheses: list[str]) -> str:
    """A page with a table of translations from the best to the worst by chrF, evenly chosen."""
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
    """A text inside a table."""
    return text.replace("|", "\\|") or " "
