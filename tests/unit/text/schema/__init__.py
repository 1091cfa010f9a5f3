"""Tests of `antiphon.text.schema`."""
