"""What the upload page shows of a document that failed, whichever stage it failed at."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from chatai_assets.domain.documents import sentence
from chatai_assets.domain.errors import ChatAIError, UnreadableDocument
from chatai_assets.storage import items as content
from chatai_assets.storage.work_queue import Key

INTERNAL = "internal"
"""Code of failures that are not the file's."""


def fail_documents(connection: Connection, failures: Mapping[Key, ChatAIError]) -> None:
    """Set status ``failed`` with a stable code and a sentence in Russian and English."""
    rows = []
    for (tenant_id, source_key), error in failures.items():
        code = error.code if isinstance(error, UnreadableDocument) else INTERNAL
        rows.append(
            {
                "tenant_id": tenant_id,
                "source_key": source_key,
                "status": "failed",
                "error_code": code,
                "error": f"{sentence(code, 'ru')} / {sentence(code, 'en')}",
                "chunks_count": 0,
            }
        )
    content.write_items(connection, "documents", rows)
