"""Tests of the fake engine."""
