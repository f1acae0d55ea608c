import os
from pathlib import Path

import pytest

from chatai_assets_tests.benchmarks.retrieval import measure, recall


@pytest.mark.scenario
@pytest.mark.corpus
@pytest.mark.skipif("CHATAI_CORPUS" not in os.environ, reason="CHATAI_CORPUS names no corpus")
def test_hybrid_search_finds_the_passage_in_either_language(tmp_path: Path):
    cases = measure(Path(os.environ["CHATAI_CORPUS"]), tmp_path)
    reached = {name: recall(places, 10) for name, places in cases.items()}
    least = {"ru questions, ru passages": 0.985, "en questions, en passages": 0.985}
    least |= {"ru questions, both languages, own": 0.985, "en questions, both languages, own": 0.985}
    assert {name for name, share in reached.items() if share < least.get(name, 0.95)} == set()
