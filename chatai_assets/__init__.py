"""Telegram posts and uploaded documents as searchable knowledge: a Dagster project."""
