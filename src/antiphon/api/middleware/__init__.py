"""Plain ASGI middleware around every route, outermost first: identity, access log, crash boundary, guards."""
