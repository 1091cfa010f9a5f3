"""State that outlives a request, behind the ports of `core`."""
