import pickle

import numpy as np
import pytest

from chatai_assets.adapters.nlp.embedder import OfflineEmbedder
from chatai_assets.adapters.nlp.stemmer import stems

WHALE_RU = "Синий кит - самое крупное животное, когда-либо жившее на Земле."
WHALE_EN = "The blue whale is the largest animal that has ever lived on Earth."
BUDGET_EN = "The committee approved next year's budget on Tuesday."


def test_vectors_are_unit_length_and_of_the_promised_shape():
    embedder = OfflineEmbedder()
    vectors = embedder.embed(["", "кит", WHALE_EN, "слово " * 1_000])
    assert {vector.shape for vector in vectors} == {(embedder.dimensions,)}
    assert {vector.dtype for vector in vectors} == {np.dtype(np.float32)}
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)


def test_no_texts_have_no_vectors():
    assert OfflineEmbedder().embed([]) == []


def test_a_vector_does_not_depend_on_its_neighbours_or_its_place():
    embedder = OfflineEmbedder()
    (alone,) = embedder.embed([WHALE_RU])
    among = embedder.embed([BUDGET_EN, *[WHALE_EN] * 40, WHALE_RU, "a"])[-2]
    assert among == pytest.approx(alone, abs=1e-4)


def test_a_translation_is_nearer_than_another_subject():
    russian, english, budget = OfflineEmbedder().embed([WHALE_RU, WHALE_EN, BUDGET_EN])
    assert russian @ english > 0.6 > 0.3 > russian @ budget


def test_a_long_text_is_still_near_to_each_of_its_subjects():
    filler = " ".join(f"{BUDGET_EN} It meets again in week {n}." for n in range(14))
    embedder = OfflineEmbedder()
    whale, long, other = embedder.embed([WHALE_RU, f"{filler} {WHALE_EN * 7}", filler])
    assert whale @ long > whale @ other + 0.2


def test_an_embedder_travels_to_worker_processes():
    assert pickle.loads(pickle.dumps(OfflineEmbedder())).model == OfflineEmbedder().model  # noqa: S301 - made here


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Ёлки ёлкой", ["елк", "елк"], id="yo is e"),
        pytest.param("за\u0301мок", ["замок"], id="stress marks"),
        pytest.param("пере\u00adнос", ["перенос"], id="soft hyphens"),
        pytest.param("и\u0306од", ["йод"], id="letters in two parts"),
        pytest.param("Running WHALES", ["run", "whale"], id="English"),
        pytest.param("COVID-19, 3D-печатью", ["covid", "19", "3d", "печат"], id="hyphens and digits"),
        pytest.param("🐳 ... ", [], id="no words"),
    ],
)
def test_words_become_stems(text: str, expected: list[str]):
    assert stems(text) == expected
