"""What the server tells its operator about itself, and what its libraries may not tell anyone."""
