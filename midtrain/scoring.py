"""BLEU and chrF by sacrebleu, with the signatures that make them comparable, and tables of example translations."""

import importlib.util
from dataclasses import dataclass

from sacrebleu.metrics import BLEU, CHRF

from mmpt.midtrain.segments import Segment

EXAMPLES = 20  # segments in a table of examples


@dataclass(frozen=True)
class Scores:
    """Scores of a whole split."""

    bleu: float  # 0 to 100
    chrf: float  # 0 to 100
    signatures: dict[str, str]  # how sacrebleu computed each score
    lines: list[str]  # scores and signatures, to be printed

    def text(self, title: str, segments: list[Segment], hypotheses: list[str]) -> str:
        """Return a text with the scores, and each segment's transcript, reference and hypothesis."""
        blocks = [
            f"{s.id}\n  en  {s.source}\n  ref {s.target}\n  hyp {hypothesis}"
            for s, hypothesis in zip(segments, hypotheses)
        ]
        return "\n\n".join(["\n".join([title, *self.lines]), *blocks]) + "\n"


def score_translations(hypotheses: list[str], references: list[str], language: str) -> Scores:
    """Score translations into `language`; both lists have the same order."""
    bleu, chrf = BLEU(tokenize=tokenizer(language)), CHRF()
    found = {
        "BLEU": (bleu.corpus_score(hypotheses, [references]), bleu),
        "chrF": (chrf.corpus_score(hypotheses, [references]), chrf),
    }
    signatures = {name: str(metric.get_signature()) for name, (_, metric) in found.items()}
    lines = [f"{result}  {signatures[name]}" for name, (result, _) in found.items()]
    return Scores(found["BLEU"][0].score, found["chrF"][0].score, signatures, lines)


def tokenizer(language: str) -> str:
    """Return the name of BLEU's tokenizer; the default, 13a, is for scripts with spaces. The signature names it."""
    if language == "ja":  # the field uses MeCab, which is an extra of sacrebleu
        return "ja-mecab" if importlib.util.find_spec("MeCab") else "char"
    return "zh" if language == "zh" else "13a"


def example_table(title: str, scores: Scores, segments: list[Segment], hypotheses: list[str]) -> str:
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
