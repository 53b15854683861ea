"""Packages are found: each folder of the repository that holds code is a package of the `mmpt` namespace."""

from setuptools import find_packages, setup

FLOORS = ("upstream", "training", "pretrain", "midtrain", "superb", "study", "downstream_configs", "scripts")

setup(
    packages=[f"mmpt.{name}" for name in find_packages(include=[*FLOORS, *(f"{name}.*" for name in FLOORS)])],
    package_dir={"mmpt": "."},
)
