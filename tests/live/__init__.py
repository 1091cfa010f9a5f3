"""Tests against a server process, over a real socket."""
