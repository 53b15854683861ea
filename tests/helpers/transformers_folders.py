"""Small random speech encoders of transformers, saved as people save theirs."""

from pathlib import Path
from typing import Any

# Training states equal those in evaluation: no dropout; and SpecAugment and LayerDrop, which an upstream switches off.
NO_DROPOUT = dict.fromkeys(
    ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout", "conformer_conv_dropout"), 0.0
)
SMALL = {
    **{"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32},
    **NO_DROPOUT,
    **{"layerdrop": 0.9, "mask_time_prob": 0.9, "mask_time_length": 2},
}
CONVOLUTIONAL = {**SMALL, "conv_dim": (8,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}
LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}  # as in wav2vec 2.0 large, HuBERT large
SEW_D = {**CONVOLUTIONAL, "conv_dim": (8,) * 13, "hidden_act": "gelu_python", "max_position_embeddings": 64}
WHISPER = {
    "d_model": 16,
    "encoder_layers": 3,
    "encoder_layerdrop": 0.9,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 32,
    "max_source_positions": 50,  # a window of one second
    "vocab_size": 8,
    **{f"{name}_token_id": 0 for name in ("pad", "bos", "eos", "decoder_start")},
}
# Name → prefix of its classes, values of the configuration, values of the feature extractor.
MODELS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "wav2vec2": ("Wav2Vec2", CONVOLUTIONAL, {"do_normalize": True}),
    "wav2vec2_large": ("Wav2Vec2", {**CONVOLUTIONAL, **LARGE}, {"do_normalize": True, "return_attention_mask": True}),
    "wav2vec2_adapter": ("Wav2Vec2", {**CONVOLUTIONAL, **LARGE, "add_adapter": True}, {"do_normalize": True}),
    "hubert": ("Hubert", CONVOLUTIONAL, {"do_normalize": True}),
    "hubert_large": ("Hubert", {**CONVOLUTIONAL, **LARGE}, {"do_normalize": True, "return_attention_mask": True}),
    "wavlm": ("WavLM", CONVOLUTIONAL, {"do_normalize": False}),
    "wavlm_large": ("WavLM", {**CONVOLUTIONAL, **LARGE}, {"do_normalize": True, "return_attention_mask": True}),
    "data2vec_audio": (
        "Data2VecAudio",
        {**CONVOLUTIONAL, "num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 7},
        {"do_normalize": True, "return_attention_mask": True},
    ),
    "sew_d": ("SEWD", SEW_D, {"do_normalize": False}),
    "sew_d_layer": ("SEWD", {**SEW_D, "feat_extract_norm": "layer"}, {"do_normalize": True}),
    "wav2vec2_bert": ("Wav2Vec2Bert", {**SMALL, "feature_projection_input_dim": 160}, {}),
    "whisper": ("Whisper", WHISPER, {"chunk_length": 1}),
}


def save_model(name: str, folder: Path, kind: str = "Model", **changes: Any) -> Path:
    """Save a random model of `MODELS` and its feature extractor, as float32; return the folder.

    Args:
        kind: end of the class's name, such as `ForCTC`.
        changes: values of the configuration.
    """
    import torch
    import transformers

    prefix, values, extractor_values = MODELS[name]
    torch.manual_seed(len(name))
    config = getattr(transformers, f"{prefix}Config")(**{**values, **changes})
    model = getattr(transformers, f"{prefix}{kind}")(config)
    with torch.no_grad():
        for parameter in model.parameters():  # so that norms and biases, which begin as ones and zeros, do something
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    extractors = {"Wav2Vec2Bert": "SeamlessM4TFeatureExtractor", "Whisper": "WhisperFeatureExtractor"}
    extractor = extractors.get(prefix, "Wav2Vec2FeatureExtractor")
    getattr(transformers, extractor)(**extractor_values).save_pretrained(folder)
    return folder
