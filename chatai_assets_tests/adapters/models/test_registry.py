"""Every provider that is described can be set and opened."""

import pytest

from chatai_assets.adapters.models.registry import open_provider
from chatai_assets.domain.providers import PROVIDERS
from chatai_assets.settings.providers import read_providers


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_with_a_key_opens_with_what_its_settings_say(name):
    access = read_providers({PROVIDERS[name].key_variable: "c2VjcmV0"})[name]
    provider = open_provider(name, access)
    assert provider.name == name
    assert (provider.chat_model, provider.embedding_model) == (access.chat_model, access.embedding_model)
    assert (provider.dimensions, provider.concurrency) == (access.dimensions, access.concurrency)


def test_without_keys_there_are_no_providers():
    assert read_providers({}) == {}
