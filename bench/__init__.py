"""Measures Antiphon beside its peers: see docs/concepts/performance.md. Not part of the package."""
