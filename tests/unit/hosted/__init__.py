"""Tests of antiphon.hosted."""
