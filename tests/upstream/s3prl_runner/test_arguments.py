"""Values of the command line written out again as words, and `-o` applied to settings."""

from argparse import Namespace

from mmpt.upstream.s3prl_runner import arguments, overrides


def test_values_are_written_as_they_were_typed():
    words = "-u mmpt_av -d ctc -p out --seed 0 --device cpu -k encoder.pt --data-root /d --lexicon a b -f -o config.a=1"
    argv = [*words.split(), "--cache", "states", "--cache-dtype", "float16", "--cache-limit", "5.0"]
    assert arguments.to_argv(arguments.parse(argv)) == argv
    assert arguments.to_argv({"mode": "evaluate", "auto_resume": False, "cache": None}) == ["-m", "evaluate"]


def test_overrides_are_applied_as_s3prl_applies_them():
    from mmpt.upstream.s3prl_runner import repairs

    repairs.apply()
    from s3prl.utility.helper import override

    text = "config.a.b=1e-3,,config.new.part='x',,config.a.list=['p', 'q'],,args.name=me,,config.a.word=none of these"
    ours, theirs = {"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 2}}
    overrides.apply(ours, text)
    override(text, Namespace(), theirs)
    assert ours == theirs and ours["a"] == {"b": 1e-3, "c": 2, "list": ["p", "q"], "word": "none of these"}
