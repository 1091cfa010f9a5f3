"""A server in a child process, held by a Python object: for tests, notebooks and other programs.

`server` is the side of the parent, `child` that of the process, `channel` the lines between them.
"""
