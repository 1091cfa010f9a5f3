"""`antiphon check`: what is wrong with this machine or setup, and what to do about it.

`machine` looks at the hardware, `setup` at what is installed and configured; each check is a function
that returns findings and changes nothing.
"""
