"""Tests of antiphon.cli.bench."""
