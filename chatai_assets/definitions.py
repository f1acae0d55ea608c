"""The module that Dagster loads. Importing it opens the home of the environment; other callers use ``build_defs``."""

from chatai_assets.orchestration.build import build_defs
from chatai_assets.settings import read_settings

defs = build_defs(read_settings())
