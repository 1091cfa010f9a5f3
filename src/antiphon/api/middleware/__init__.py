"""Plain ASGI middleware of every route, outermost first: identity, access log, origins, boundary, guards."""
