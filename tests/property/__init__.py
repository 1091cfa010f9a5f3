"""Machines under arbitrary inputs."""
