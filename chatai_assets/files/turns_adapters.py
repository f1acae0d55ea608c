"""What a store outside this machine asks for before it is written: a turn, which one writer has at a time.

The record store hands turns out (``records.turns``), for it is what all writers share.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

StillMine = Callable[[], None]
"""Raises ``StoreUnavailable`` when the turn was lost; to be asked right before something is written."""
Turns = Callable[[], AbstractContextManager[StillMine]]
"""Waits for a turn and holds it until the block ends; ``StoreUnavailable`` when none is free in time."""
