"""CTC: its loss against all alignments, the transcripts that it finds, and their preparation."""

import itertools
import math

import pytest
import torch

from mmpt.midtrain.ctc import BLANK, ctc_loss, read_transcripts, spoken, states_needed
from mmpt.midtrain.settings import CtcSettings
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av.packing import Packing


def collapse(path):
    """Return the transcript of a path that has one symbol per state."""
    return [symbol for symbol, _ in itertools.groupby(path) if symbol != BLANK]


def slow_loss(logits, transcript):
    """Return minus the logarithm of the summed probabilities of all paths of the transcript."""
    total = 0.0
    log_probs = logits.log_softmax(-1).tolist()
    for path in itertools.product(range(logits.shape[1]), repeat=len(log_probs)):
        if collapse(path) == transcript:
            total += math.exp(sum(row[symbol] for row, symbol in zip(log_probs, path)))
    return -math.log(total)


def test_loss_is_the_sum_over_all_alignments():
    torch.manual_seed(0)
    texts, lengths = [[1, 2], [3, 3], [2]], [4, 5, 2]
    logits = torch.randn(sum(lengths), 4, dtype=torch.float64) * 2
    expected = sum(slow_loss(one, text) for one, text in zip(logits.split(lengths), texts))
    found = ctc_loss(logits, Packing(lengths, logits.device), torch.tensor(sum(texts, [])), [len(t) for t in texts])
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_a_transcript_that_is_too_long_adds_nothing_and_an_empty_one_adds_its_loss():
    torch.manual_seed(0)
    logits = torch.randn(5, 4, requires_grad=True)
    packing = Packing([2, 3], logits.device)
    # The first needs three states and has two.
    loss = ctc_loss(logits, packing, torch.tensor([1, 1]), [2, 0])
    assert loss.item() == pytest.approx(slow_loss(logits[2:], []), rel=1e-5)
    loss.backward()
    assert logits.grad.isfinite().all() and not logits.grad[:2].any() and logits.grad[2:].any()


def test_transcripts_are_the_likeliest_paths_collapsed():
    paths = [[0, 1, 1, 0, 1, 2], [3], [0, 0], [2, 2, 3, 0]]
    logits = torch.nn.functional.one_hot(torch.tensor(sum(paths, [])), 4).float()
    assert (
        read_transcripts(logits, Packing([len(p) for p in paths], logits.device))
        == [collapse(p) for p in paths]
        == [[1, 1, 2], [3], [], [2, 3]]
    )


def test_states_needed_is_the_shortest_path():
    for text in ([], [1], [1, 1], [1, 2, 1], [2, 2, 2]):
        shortest = next(n for n in range(9) if any(collapse(p) == text for p in itertools.product(range(3), repeat=n)))
        assert states_needed(text) == shortest


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Well, that's it. (Applause)", "well that's it"),
        ("It’s [music] 50% — done_now!", "it's 50 done now"),
        ("(Laughter)", ""),
        ("Perché no?", "perché no"),
    ],
)
def test_spoken_leaves_out_events_and_punctuation(text, expected):
    assert spoken(text) == expected


def test_a_negative_weight_is_refused():
    with pytest.raises(InputError, match="ctc.weight must not be negative"):
        CtcSettings(weight=-1)
