"""Tokens in, tokens out: what turns a prompt into more tokens, and the process it runs in."""
