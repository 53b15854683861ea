"""Let the tests of this floor import torchaudio on the newest stack, too."""

from mmpt.upstream.s3prl_runner import repairs

repairs.repair_torchaudio_import()
