"""What Dagster loads. Importing it opens the home that the environment names; everyone else calls ``build_defs``."""

from chatai_assets.orchestration.build import build_defs
from chatai_assets.settings import read_settings

defs = build_defs(read_settings())
