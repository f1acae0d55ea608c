"""The six stages: pending items of an hour -> domain -> adapter -> record store."""
