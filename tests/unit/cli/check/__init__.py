"""Tests of antiphon.cli.check."""
