"""JSON as clients write it: reading it with exact errors, and the table of all request fields."""
