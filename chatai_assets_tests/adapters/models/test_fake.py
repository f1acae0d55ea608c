import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatai_assets.adapters.models.base import ModelInput
from chatai_assets.adapters.models.fake import CapitalisedExtractor, FirstWordsTagger, HashedEmbedder
from chatai_assets.domain.extraction import check_extraction
from chatai_assets.domain.tagging import check_tags, has_usable_word


@given(st.text(max_size=80))
def test_the_free_models_keep_the_rules_for_any_text(text: str):
    tags = FirstWordsTagger().tag([ModelInput("t", text)])[0]
    assert list(check_tags(tags, text)) == tags
    assert bool(tags) == has_usable_word(text)
    extraction = CapitalisedExtractor().extract([ModelInput("t", text)])[0]
    assert check_extraction(extraction, text) == extraction
    vector = HashedEmbedder().embed([ModelInput("t", text)])[0]
    assert vector.shape == (256,)
    assert vector.dtype == np.float32
    assert float(np.linalg.norm(vector)) == pytest.approx(1, abs=1e-5)


def test_texts_that_share_words_are_near():
    texts = ["цена на нефть растёт второй день", "растёт цена на нефть", "Cats sleep all day in warm places"]
    one, near, far = HashedEmbedder().embed([ModelInput("t", text) for text in texts])
    assert one @ near > 0.6 > 0.2 > one @ far


def test_the_first_three_words_are_the_tags():
    texts = ["👍 https://a.ru/x Цена, цена на НЕФТЬ растёт", "12"]
    assert FirstWordsTagger().tag([ModelInput("t", text) for text in texts]) == [["Цена", "на", "НЕФТЬ"], []]


def test_words_with_a_capital_inside_a_sentence_are_entities():
    extraction = CapitalisedExtractor().extract([ModelInput("t", "Вчера в Москве видели Анну.")])[0]
    assert [entity.name for entity in extraction.entities] == ["Москве", "Анну"]
    assert len(extraction.relations) == 1
