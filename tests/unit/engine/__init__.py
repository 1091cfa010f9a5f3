"""Tests of antiphon.engine."""
