"""Clients of the API as their users have them, each against a live server."""
