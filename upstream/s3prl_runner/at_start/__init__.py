"""A folder for PYTHONPATH, which `mmpt with` sets: Python runs `sitecustomize.py` there when it starts."""
