"""Function calls as text: how a model is told of tools, what it may write, and how that is read."""
