"""S3PRL's stock runner on today's PyTorch, with `mmpt_av` registered: nothing of S3PRL is copied or changed.

- `repairs`: what PyTorch, torchaudio and huggingface_hub have dropped since.
- `registration`: the upstream `mmpt_av`, and PR's phone corpus (`phone_corpus`), which S3PRL's wheel lacks.
- `launcher`: `python run_downstream.py -u mmpt_av -d asr` as typed (`arguments`, `data`, `defaults`).
- `experiment`: the best checkpoint of an experiment folder, and its scores.
"""
