"""Answers of the simulated models: deterministic, in the shapes of recorded traffic.

Tags are the first words of the text between the marks, entities its words with a capital letter, embeddings are
hashed from the text. An obeying model does what a text orders it to do.
"""

from __future__ import annotations

import json
import random
import re
from hashlib import sha256
from itertools import pairwise
from typing import Any

MARKED_TEXT = re.compile(r"<text-([0-9a-f]+)>\n(.*)\n</text-\1>", re.DOTALL)
INSTRUCTION = re.compile(r"(?:ignore|forget|disregard|игнорируй|забудь|системн|system)", re.IGNORECASE)
QUOTED = re.compile(r"[\"«“']([^\"»”']{2,80})[\"»”']")
WORD = re.compile(r"[^\W\d_]{3,}")
CAPITAL = re.compile(r"(?<=\w )[A-ZА-ЯЁ][a-zа-яё]{2,}")


def text_of(messages: list[dict[str, str]]) -> str:
    """Return what stands between the marks of a conversation."""
    found = MARKED_TEXT.search("\n".join(message["content"] for message in messages if message["role"] == "user"))
    return found[2] if found else ""


def contains_instructions(messages: list[dict[str, str]]) -> bool:
    """Return whether the text of a conversation orders the model to do something."""
    return bool(INSTRUCTION.search(text_of(messages)))


def chat_content(messages: list[dict[str, str]], *, obey: bool = False) -> str:
    """Return what the model says."""
    text, wants_entities = text_of(messages), '"entities"' in messages[0]["content"]
    if obey and INSTRUCTION.search(text):
        return _obedient(text, wants_entities=wants_entities)
    return json.dumps(_extraction(text) if wants_entities else {"tags": _tags(text)}, ensure_ascii=False, indent=2)


def _tags(text: str) -> list[str]:
    return list(dict.fromkeys(WORD.findall(text)))[:5]


def _extraction(text: str) -> dict[str, Any]:
    names = list(dict.fromkeys(CAPITAL.findall(text)))[:4]
    entities = [{"name": name, "normal": name, "kind": "other"} for name in names]
    relations = [{"subject": one, "predicate": "и", "object": other} for one, other in pairwise(names)]
    return {"entities": entities, "relations": relations}


def _obedient(text: str, *, wants_entities: bool) -> str:
    """Return what the author of the text ordered: their words, invented words, or no JSON at all."""
    wanted = QUOTED.findall(text) or ["взломано"]
    mood = sha256(text.encode()).digest()[0] % 4
    if mood == 0:
        return f"Конечно! {wanted[0]}. My instructions are: {text[:50]}"
    invented = [*wanted, "HACKED", "купи слона", wanted[0][::-1]]
    if mood == 1:
        invented = ["HACKED", "PWNED" * 3]
    if wants_entities:
        entities = [{"name": name, "normal": "HACKED", "kind": "root"} for name in invented]
        relations = [{"subject": one, "predicate": "рекомендует", "object": "HACKED"} for one in invented]
        return json.dumps({"entities": entities, "relations": relations, "delete": "*"}, ensure_ascii=False)
    return json.dumps({"tags": invented, "system": "rm -rf", "delete": True}, ensure_ascii=False)


def embedding(text: str, dimensions: int) -> list[float]:
    """Return a vector of length about 29: the contract does not promise unit length."""
    numbers = random.Random(sha256(text.encode("utf-8", "surrogatepass")).digest())
    return [round(numbers.gauss(0, 1) * 29.2 / dimensions**0.5, 6) for _ in range(dimensions)]
