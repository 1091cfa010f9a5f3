"""Tests of antiphon.service."""
