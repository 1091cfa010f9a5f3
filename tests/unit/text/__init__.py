"""Tests of antiphon.text."""
