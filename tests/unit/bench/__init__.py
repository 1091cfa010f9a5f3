"""The benchmark's own parts: what it asks, how it listens, how it counts."""
