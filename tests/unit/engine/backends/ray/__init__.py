"""Mirrors src/antiphon/engine/backends/ray."""
