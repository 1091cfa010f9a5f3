"""vLLM as the engine: in the engine's child process, or a server of its own reached by URL."""
