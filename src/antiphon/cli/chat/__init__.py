"""`antiphon chat`: one answer for a pipe, or a conversation for a person.

`conversation` is what was said and how to go on, `turn` one answer as it arrives, `session` the
terminal, `connect` the server that answers.
"""
