"""The pages for people: playground and dashboard, built from `playground/` and served as they are."""
