import pytest

from chatai_assets.domain.embedding_model import EmbedderName, read_embedder


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("offline", EmbedderName("offline")),
        ("free", EmbedderName("free", dimensions=256)),
        ("free:256", EmbedderName("free", dimensions=256)),
        ("free:512", EmbedderName("free", dimensions=512)),
        ("gigachat", EmbedderName("gigachat")),
        (
            "openrouter:openai/text-embedding-3-large@3072",
            EmbedderName("openrouter", "openai/text-embedding-3-large", 3072),
        ),
    ],
)
def test_a_name_is_read_and_written_the_same(text, meant):
    assert read_embedder(text) == meant
    assert read_embedder(str(meant)) == meant


@pytest.mark.parametrize(
    "text", ["", "bert", "free:3", "free:0256", "free:256@2", "offline:1", "openrouter:model", "gigachat@1024", "free:"]
)
def test_what_names_nobody_is_refused_in_a_sentence(text):
    with pytest.raises(ValueError, match="names no embedder: it must be one of offline, free"):
        read_embedder(text)
