"""Starting and reading servers."""
