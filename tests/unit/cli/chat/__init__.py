"""Tests of antiphon.cli.chat."""
