"""Hours of ordinary and hostile use against one server: what is wrong, what leaks, what drifts."""
