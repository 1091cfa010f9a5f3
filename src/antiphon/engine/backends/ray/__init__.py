"""Engines on a Ray cluster: replicas as deployments of Ray Serve, and the client that spreads requests."""
