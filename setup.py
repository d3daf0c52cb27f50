"""The shipped files of search_spaces/ are installed as hypercl/search_spaces/; all else stands in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["hypercl*"]), "hypercl.search_spaces"],
    package_dir={"hypercl.search_spaces": "search_spaces"},
    package_data={"hypercl": ["py.typed"], "hypercl.search_spaces": ["*.yaml", "*.json"]},
)
