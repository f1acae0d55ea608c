-- Dagster's own history lies beside the record store: both keep their migrations in a table of the same name.
CREATE DATABASE dagster;
