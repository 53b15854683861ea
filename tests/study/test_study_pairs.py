"""Which encoders are compared: declared by what they are, and few."""

from mmpt.study.pairs import control_pairs, main_chains, pairs, translation_pairs

from helpers.made_up_study import encoders


def test_the_pairs_of_one_seed():
    mains, mids = ["clr", "mae", "mae_clr"], ["clr_it", "mae_it", "mae_clr_it"]
    found = pairs(encoders())
    assert len(found) == len(set(found)) == 20
    assert {after for before, after in found if before == "untrained"} == {
        *mains,
        "clr_sounds",
        "none_it",
        *mids,
        "clr_de",
    }
    assert {after for before, after in found if before == "fbank"} == {*mains, *mids}
    assert [after for before, after in found if before == "clr"] == ["clr_it", "clr_de"]
    assert ("clr_longer", "clr_it") in found and ("clr_longer", "clr_de") not in found
    assert translation_pairs(encoders()) == [("none_it", name) for name in mids]


def test_with_two_seeds_pairs_stay_within_a_seed():
    made = encoders((1, 2))
    ends = {(before[-1], after[-1]) for before, after in pairs(made) if before not in ("untrained", "fbank")}
    assert ends == {("1", "1"), ("2", "2")}
    assert translation_pairs(made)[3] == ("none_it_seed2", "clr_it_seed2")
    assert control_pairs(made) == [(f"clr_longer_seed{seed}", f"clr_it_seed{seed}") for seed in (1, 2)]
    assert len(main_chains(made)) == 6


def test_without_mid_training_or_fbank_there_is_less_to_compare():
    made = [encoder for encoder in encoders() if encoder.kind in ("untrained", "pretrained")]
    assert pairs(made) == [("untrained", name) for name in ("clr", "mae", "mae_clr", "clr_sounds")]
    assert translation_pairs(made) == main_chains(made) == []
