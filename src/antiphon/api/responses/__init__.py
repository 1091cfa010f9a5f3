"""`POST /v1/responses`, OpenAI's newer API: its fields, its items, its events, and what it stores."""
