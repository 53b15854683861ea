"""The benchmark of the heads' gradients runs, and finds them equal."""

from mmpt.scripts.benchmark import head_gradients


def test_it_compares_times_and_bits(capsys):
    assert head_gradients.main(["--batch", "4", "--states", "30", "--rounds", "2"]) == 0
    printed = capsys.readouterr().out
    assert "PyTorch's ÷ ours: " in printed and "gradients: the same bits" in printed
