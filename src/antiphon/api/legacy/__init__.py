"""`POST /v1/completions`, OpenAI's older API: its fields, its requests, its answers."""
