"""Tests of calls as text."""
