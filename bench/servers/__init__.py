"""The servers that are measured, each started as a user would start it."""
