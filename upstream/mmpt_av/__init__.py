"""The mmpt_av speech encoder: self-contained, needs torch alone; the folder can be copied into another project."""

from .checkpoint import CheckpointError, load_encoder, save_encoder
from .config import EncoderConfig
from .encoder import Encoder, EncoderOutput

__all__ = ["CheckpointError", "Encoder", "EncoderConfig", "EncoderOutput", "load_encoder", "save_encoder"]
