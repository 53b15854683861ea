"""The items of gpu_check.py, one file each. They need no library that reads media or texts (see stand_ins.py)."""

from mmpt.scripts.benchmark.gpu.stand_ins import import_training

import_training()
