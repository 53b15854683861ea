"""S3PRL's stock runner on today's PyTorch, with `mmpt_av` registered. Nothing of S3PRL is copied or changed.

`from mmpt.upstream.s3prl_runner import enable` repairs S3PRL in your own process (see `enabling`).

- `launcher`: the command `python run_downstream.py -u mmpt_av -d asr`; `arguments` parses it, `defaults` fills it in.
- `repairs`: what PyTorch, torchaudio (see `sox`) and huggingface_hub have removed; `distributed`: repairs for torchrun.
- `registration`: the upstream `mmpt_av`, and the corpora of PR and slot filling that S3PRL's wheel leaves out
  (`ctc_corpora`).
- `enabling`: both of these, in anyone's process; `at_start`: and in each Python that `mmpt with` starts.
- `watch`: what the runner drops silently, counted while it runs; `printed`: its printed lines and its
  step; `progress`: its progress bars, which are plain lines in a log.
- `experiment`: the best checkpoint of an experiment folder, and its scores (see `diarization` for SD).
- `tasks`: the five tasks by our names and S3PRL's.
"""

from mmpt.upstream.s3prl_runner.enabling import enable

__all__ = ["enable"]
