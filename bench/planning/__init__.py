"""How many replicas a load needs: the engine's real scheduler and router in simulated time."""
