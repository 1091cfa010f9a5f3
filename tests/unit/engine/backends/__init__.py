"""Tests of antiphon.engine.backends."""
