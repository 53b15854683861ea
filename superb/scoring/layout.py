"""Where files lie in a bundle, and what S3PRL's runner calls its truths. Imports nothing."""

# Where the server looks, inside predict.zip.
PUBLIC = {
    "pr": "predict/pr_public/predict.ark",
    "asr": "predict/asr_public/predict.ark",
    "asr_lm": "predict/asr_lm_public/predict.ark",
    "ks": "predict/ks_public/predict.txt",
    "ic": "predict/ic_public/predict.csv",
}
SD_PREDICTIONS = "predict/sd_public/scoring/predictions/"
SD_FRAME_SHIFT = "predict/sd_public/frame_shift"
DEV_DIARIZATION = "dev/sd"  # beside predict.zip, for the threshold and the median that dev would choose
DEFAULT_FRAME_SHIFT = 160  # which the server takes if the file is missing

# The runner's files of truths. ASR's two decoders have the same one.
TRUTHS = {
    "pr": ("test-ref.ark",),
    "asr": ("test-clean-noLM-ref.ark", "test-clean-LM-ref.ark"),
    "ks": ("test_truth.txt",),
    "ic": ("test_truth.csv",),
    "sd": ("rttm",),
}
