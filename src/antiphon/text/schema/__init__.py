"""JSON Schemas of answers: what can be held, rewritten so that it is; and whether an answer is valid."""
