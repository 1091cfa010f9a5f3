"""Everything that is tested; each folder is one kind of test."""
