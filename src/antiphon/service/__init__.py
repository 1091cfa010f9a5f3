"""Use cases: what the server does for a caller, without HTTP, JSON fields or SQL."""
