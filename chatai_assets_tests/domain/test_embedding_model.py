import pytest

from chatai_assets.domain.embedding_model import EmbeddingModelRef, parse_embedding_model


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("offline", EmbeddingModelRef("offline")),
        ("free", EmbeddingModelRef("free", dimensions=256)),
        ("free:256", EmbeddingModelRef("free", dimensions=256)),
        ("free:512", EmbeddingModelRef("free", dimensions=512)),
        ("gigachat", EmbeddingModelRef("gigachat")),
        (
            "openrouter:openai/text-embedding-3-large@3072",
            EmbeddingModelRef("openrouter", "openai/text-embedding-3-large", 3072),
        ),
    ],
)
def test_a_name_is_read_and_written_the_same(text, meant):
    assert parse_embedding_model(text) == meant
    assert parse_embedding_model(str(meant)) == meant


@pytest.mark.parametrize(
    "text", ["", "bert", "free:3", "free:0256", "free:256@2", "offline:1", "openrouter:model", "gigachat@1024", "free:"]
)
def test_what_names_nobody_is_refused_in_a_sentence(text):
    with pytest.raises(ValueError, match="names no embedder: it must be one of offline, free"):
        parse_embedding_model(text)
