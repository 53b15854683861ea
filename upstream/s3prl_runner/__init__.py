"""S3PRL's stock runner on today's PyTorch, with `mmpt_av` registered: nothing of S3PRL is copied or changed.

- `launcher`: `python run_downstream.py -u mmpt_av -d asr` as typed (`arguments`, `overrides`, `data`, `defaults`).
- `repairs`: what PyTorch, torchaudio (`sox`) and huggingface_hub have dropped since; `distributed`: torchrun.
- `registration`: the upstream `mmpt_av`, and PR's phone corpus (`phone_corpus`), which S3PRL's wheel lacks.
- `experiment`: the best checkpoint of an experiment folder, and its scores (`diarization`: SD's).
- `tasks`: the five tasks by our names and S3PRL's.
"""
