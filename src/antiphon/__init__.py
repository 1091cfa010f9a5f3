"""Antiphon: OpenAI's Chat Completions API on hardware its user owns."""

__version__ = "0.1.0"
