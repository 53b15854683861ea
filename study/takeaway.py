"""The sentences that a reader of a study may take away, chosen by the outcome."""

from mmpt.study.names import language_name, method_name, seeds
from mmpt.study.pairs import control_pairs, main_chains, of_kind
from mmpt.study.record import MadeEncoder
from mmpt.study.scored import COUNTED, ScoredStudy
from mmpt.superb.statistics.wording import listed

TRIAL = "This was a trial of the plan: --steps cut all trainings and heads short, so no figure here says anything."
UNFINISHED = "The study is not finished (missing scores: {}). More comparisons will make the p-values larger."
Pairs = list[tuple[MadeEncoder, MadeEncoder]]  # baseline and encoder, one pair a seed


def takeaway(scored: ScoredStudy) -> list[str]:
    """Return what the study shows about its first objective, and what its p-values speak of; nothing of a trial.

    The first objective is spoken of whatever the others gave: a choice by the outcome would be too favourable.
    """
    if scored.study.is_trial:
        return [TRIAL]
    missing = scored.missing()
    sentences = [UNFINISHED.format(missing)] if missing else []
    chains = main_chains(scored.encoders)
    first = [chain for chain in chains if chain[0].objective == chains[0][0].objective]
    if first:
        method, mid = method_name(first[0][0]), f"Mid-training {language_name(first[0][1].language)}"
        untrained = of_kind(scored.encoders, "untrained")[:1]
        before = [(one, start) for start, _ in first for one in untrained]
        by_name = {encoder.name: encoder for encoder in scored.encoders}
        mid_trained = {after.name for _, after in first}
        controls = [(by_name[one], by_name[two]) for one, two in control_pairs(scored.encoders) if two in mid_trained]
        sentences += [
            _sentence(scored, mid, f"the same encoder, pre-trained by {method}, without it", first),
            _sentence(scored, f"Pre-training by {method}", "the untrained encoder", before),
            _sentence(scored, mid, "as much more pre-training (the control)", controls),
        ]
    return [*[sentence for sentence in sentences if sentence], reach(scored)]


def reach(scored: ScoredStudy) -> str:
    """Return what the p-values speak of."""
    number = len(seeds(scored.encoders))
    if number < 2:
        return (
            "There is one pre-training seed: the p-values speak of these encoders, on other speakers, and not of the "
            "method. With another seed, the same method could come out differently."
        )
    return (
        f"There are {number} pre-training seeds, and a task is named above only if the tests show it for each of them. "
        "Each test compares two encoders, on other speakers. No p-value covers further seeds, so even here they speak "
        "of these encoders and not of the method; a result that comes again with another seed speaks for the method."
    )


def _sentence(scored: ScoredStudy, what: str, baseline: str, pairs: Pairs) -> str:
    """Return which tasks something improved over a baseline, and which got worse; nothing if no task tells."""
    found = [{task: scored.difference(task, *(e.name for e in pair)) for task in COUNTED} for pair in pairs]
    all_known = {task.upper(): [tested for one in found if (tested := one[task])] for task in COUNTED}
    known = {task: ones for task, ones in all_known.items() if ones and len(ones) == len(pairs)}
    if not known:
        return ""
    better = [task for task, ones in known.items() if all(one.is_shown for one in ones)]
    worse = [task for task, ones in known.items() if all(one.is_lost for one in ones)]
    none = f"was shown to improve none of {len(known)} tasks"
    improved = f"improved {listed(better)} ({len(better)} of {len(known)} tasks)" if better else none
    but = f", and made {listed(worse)} worse" if worse else ""
    return f"{what} {improved} over {baseline}{but} (p < 0.05 after Holm)."
