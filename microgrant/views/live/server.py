"""The live page, served on this machine and for this machine only.

With this module you can

- serve it, until Ctrl-C:       serve()
- open it on an expression:     serve(fragment("a*b", {"a": "2", "b": "-3"}))

Any page of the web can send requests to a server on loopback. So the address holds a token that
nobody can guess, a request has to name this host and no other, and all that one can ask for is
arithmetic, of bounded size.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import sys
import webbrowser
from http.server import BaseHTTPRequestHandler
from itertools import count
from socket import SHUT_RDWR, socket
from socketserver import TCPServer, ThreadingMixIn
from threading import BoundedSemaphore, Thread, Timer
from typing import Any

from .answers import answer
from .shell import files

__all__ = ["serve"]

MOST_BYTES = 64_000  # of a request
MOST_AT_ONCE = 32  # requests
MOST_PAGES = 8  # that are kept for a frame to fetch
PATIENCE = 10.0  # seconds for a whole request, whoever sends it one byte at a time

TYPES = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "json": "application/json",
}
# What the page around the player may do; the player brings a policy of its own along.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "frame-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
REFUSAL = "default-src 'none'; frame-ancestors 'none'"


def serve(fragment: str = "", *, show: bool = True) -> None:
    """Serve the live page until Ctrl-C, and say at which address; with `show`, open a browser.

    fragment: what stands behind the address, as `microgrant.views.live.fragment` writes it.
    """
    try:
        with _Server() as server:
            address = server.address + fragment
            print(f"live page: {address} (Ctrl-C ends it)", flush=True)
            if show:  # some browsers come back only when they are closed
                Thread(target=webbrowser.open, args=(address,), daemon=True).start()
            server.serve_forever()
    except KeyboardInterrupt:
        print("\nthe live page has ended")


class _Server(ThreadingMixIn, TCPServer):
    """Listens on a free port of loopback, and remembers the last pages."""

    daemon_threads = True
    request_queue_size = MOST_AT_ONCE

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token = secrets.token_urlsafe()
        self.hosts = {f"{name}:{self.server_address[1]}" for name in ("127.0.0.1", "localhost")}
        self.origins = {f"http://{host}" for host in self.hosts}
        self.files = files()
        self.pages: dict[str, str] = {}
        self._numbers = count(1)
        self._room = BoundedSemaphore(MOST_AT_ONCE)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{self.token}/"

    def keep(self, page: str) -> str:
        """Where a page can be fetched, until there are newer ones."""
        number = next(self._numbers)
        self.pages[f"page/{number}"] = page
        self.pages.pop(f"page/{number - MOST_PAGES}", None)
        return f"page/{number}"

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        clock = Timer(PATIENCE, _hang_up, (request,))
        clock.daemon = True
        clock.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            clock.cancel()
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # or else the other end has left
            super().handle_error(request, client_address)


def _hang_up(connection: socket) -> None:
    try:
        connection.shutdown(SHUT_RDWR)
    except OSError:  # it is closed already
        return


class _Handler(BaseHTTPRequestHandler):
    """Answers the page's own requests. Everything else gets a number, and no word."""

    server: _Server
    server_version, sys_version = "microgrant", ""

    def do_GET(self) -> None:
        name = self._asked_for()
        if name is None:
            self._reply(404)
        elif page := self.server.pages.get(name):
            self._reply(200, page, "html", "frame-ancestors 'self'")
        elif file := self.server.files.get(name or "index.html"):
            self._reply(200, file, name.rpartition(".")[2] or "html", POLICY)
        else:
            self._reply(404)

    def do_POST(self) -> None:
        if self._asked_for() != "ask":
            self._reply(404)
        elif self.headers.get_content_type() != "application/json":
            self._reply(415)
        elif (length := self._length()) is None:
            self._reply(411)
        elif length > MOST_BYTES:
            self._reply(413)
        else:
            try:
                told = answer(json.loads(self.rfile.read(length)))
            except (ValueError, RecursionError):
                self._reply(400)
                return
            if "page" in told:
                told["address"] = self.server.keep(told.pop("page"))
            self._reply(200, json.dumps(told), "json")

    def _asked_for(self) -> str | None:
        """What stands in the path behind the token; None for a request from elsewhere."""
        hosts, origins = (self.headers.get_all(name, []) for name in ("Host", "Origin"))
        token, slash, name = self.path.removeprefix("/").partition("/")
        ours = (
            slash == "/"  # or else the page's files would be looked for beside it
            and len(hosts) == 1
            and self.server.hosts.issuperset(hosts)
            and self.server.origins.issuperset(origins)
            and hmac.compare_digest(token.encode(), self.server.token.encode())
        )
        return name if ours else None

    def _length(self) -> int | None:
        """How many bytes follow; None if it does not say so, in one number."""
        lengths = self.headers.get_all("Content-Length", [])
        if len(lengths) != 1 or "Transfer-Encoding" in self.headers:
            return None
        return int(lengths[0]) if re.fullmatch("[0-9]{1,15}", lengths[0]) else None

    def _reply(self, status: int, text: str = "", kind: str = "", policy: str = REFUSAL) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": TYPES.get(kind, "text/plain") + "; charset=utf-8",
            "Content-Length": str(len(body)),
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Of a request that is none of HTTP's, or has another method."""
        self._reply(405 if code == 501 else code)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the terminal is the lecturer's."""
