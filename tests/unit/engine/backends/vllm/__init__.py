"""Tests of antiphon.engine.backends.vllm."""
