"""Names of log events, and the configuration of logging.

Logs are JSON lines on stderr. They contain keys, counts and error classes, never text of posts or documents.
"""

from __future__ import annotations

import logging
import sys

import structlog

PROCESSING_COMPLETE = "asset.processing.complete"
PROCESSING_FAILED = "asset.processing.failed"
DEAD_LETTER = "job.dlq"
INGESTED = "inbox.ingested"
REJECTED = "inbox.rejected"
CLAIM_LOST = "claim.lost"
CLOCK_AHEAD = "work.clock_ahead"
CLAIMS_FREED = "claims.freed"
QUOTA_WAIT = "quota.wait"
PROVIDER_BATCH = "provider.batch"
PAGE_UNFORESEEN = "page.unforeseen"
PAGE_NOT_SHOWN = "page.not_shown"
BREAKER_OPEN = "breaker.open"
BREAKER_CLOSED = "breaker.closed"
ANNOUNCED = "announced"
CHANNEL_FAILED = "announcement.failed"
STORE_SET_ASIDE = "store.set_aside"
LOG_CUT = "store.log_cut"
PROJECTION_REOPENED = "projection.reopened"
ITEMS_EXPIRED = "items.expired"
RETAINED = "records.retained"
INDEX_SERVES = "index.serves"


def configure_logging(level: str = "INFO") -> None:
    """Write events of at least ``level`` as one JSON object a line on stderr."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # looked up at each call: it may be redirected
        cache_logger_on_first_use=False,
    )


log: structlog.stdlib.BoundLogger = structlog.get_logger("chatai")
