"""Speech encoders of the library transformers, as S3PRL's runner expects them: the upstream `hf`.

`UpstreamExpert` in expert.py takes a folder that `save_pretrained` wrote, or an id of huggingface.co.
"""
