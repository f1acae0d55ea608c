"""Dagster only: partitions, assets, sensors, checks and jobs. No logic of the pipeline."""
