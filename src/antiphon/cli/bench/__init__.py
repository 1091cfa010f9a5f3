"""`antiphon bench`: how fast a server answers, ours or any other that speaks the API.

`load` sends requests and takes times, `figures` sums them up, `plot` draws them. It is a quick look from
the outside, with one thread for each client; the measurements in docs/concepts come from bench/.
"""
