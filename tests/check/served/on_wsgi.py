"""A WSGI app in a2wsgi."""

import time

from a2wsgi import WSGIMiddleware

from asgi_disconnect import DisconnectMiddleware


def wsgi_app(environ, start_response):
    time.sleep(3)
    start_response("200 OK", [("content-type", "text/plain")])
    return [b"done"]


in_a2wsgi = DisconnectMiddleware(WSGIMiddleware(wsgi_app))
