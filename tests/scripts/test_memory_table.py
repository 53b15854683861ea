"""The table of settings with which updates fit GPUs."""

from mmpt.scripts.benchmark import memory_table
from mmpt.training.memory_estimate import Memory


def in_parts(parts: int) -> Memory:
    return Memory(
        weights=10**9,
        inputs=0,
        saved=2**37 // parts,
        saved_checkpointed=2**34 // parts,
        copies=0,
        block=2**30,
        largest=0,
    )


def test_each_card_gets_the_settings_that_fit(monkeypatch, capsys):
    monkeypatch.setattr(memory_table, "counter_of_clips", lambda objective, bfloat16: (in_parts, [1, 2, 4, 8, 16]))
    monkeypatch.setattr(memory_table, "counter_of_segments", lambda bfloat16: (in_parts, [1, 2]))
    assert memory_table.main([]) == 0
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 6 and {len(line) for line in lines} == {7}
    name, whole, checkpointed, *cards = lines[2]
    assert (name, whole, checkpointed) == ("`clr`, 256 clips", "138 GB", "19 GB")
    assert cards == [
        "`optim.checkpoint_blocks=true optim.accumulate=2` or `optim.accumulate=16`",
        "`optim.checkpoint_blocks=true` or `optim.accumulate=8`",
        "`optim.checkpoint_blocks=true` or `optim.accumulate=4`",
        "`optim.checkpoint_blocks=true` or `optim.accumulate=2`",
    ]
    assert lines[5][3] == "`optim.checkpoint_blocks=true optim.accumulate=2`"


def test_parts_of_segments_need_less():
    count, choices = memory_table.counter_of_segments(bfloat16=True)
    assert count(choices[-1]).total(False) < count(choices[-2]).total(False) < 3e9
