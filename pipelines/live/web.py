# SPDX-License-Identifier: LGPL-2.1-or-later
"""The page and what it asks for, on loopback alone. WebRTC is negotiated as WHEP has it: an offer is posted, the answer
comes back. Other sites that a browser has open can reach this port: what does not come from the page is refused."""
import http.server
import json
import pathlib
import re
import secrets
import threading

PAGE = pathlib.Path(__file__).with_name("page.html")
BODY_BYTES = 64 << 10  # an offer has 5 to 10 KiB
SECONDS = 10           # for a request to arrive
VIEWERS = 8
POLICY = ("default-src 'none'; script-src 'nonce-NONCE'; style-src 'nonce-NONCE'; connect-src 'self'; "
          "media-src 'self' blob:; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")


class Refused(Exception):
    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


class Site(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port, studio, make_viewer, make_hls):
        self.studio, self.make_viewer, self.make_hls = studio, make_viewer, make_hls
        self.lock = threading.Lock()
        self.viewers, self.hls = {}, None
        super().__init__(("127.0.0.1", port), Handler)
        self.hosts = {f"{name}:{self.server_port}" for name in ("127.0.0.1", "localhost")}

    def handle_error(self, request, address):
        """A browser that hangs up in the middle is not an error."""

    def watch(self, offer):
        with self.lock:
            if len(self.viewers) >= VIEWERS:
                raise Refused(503, f"{VIEWERS} viewers are connected already.")
            name = secrets.token_hex(8)
            self.viewers[name] = None # the place is taken
        try:
            viewer = self.make_viewer(offer, lambda gone: self.leave(name))
        except ValueError as wrong:
            with self.lock:
                del self.viewers[name]
            raise Refused(400, str(wrong)) from wrong
        with self.lock:
            gone = name not in self.viewers # closed before it was put in its place
            if not gone:
                self.viewers[name] = viewer
        if gone:
            viewer.close()
            raise Refused(400, "The viewer has gone already.")
        self.studio.add(viewer)
        return name, viewer.answer

    def leave(self, name):
        with self.lock:
            viewer = self.viewers.pop(name, None)
        if viewer:
            self.studio.remove(viewer)
        return viewer is not None

    def playlist_folder(self):
        with self.lock:
            if not self.hls:
                self.hls = self.make_hls()
                self.studio.add(self.hls)
            return pathlib.Path(self.hls.folder)

    def close(self):
        self.shutdown()
        for name in list(self.viewers):
            self.leave(name)
        if self.hls:
            self.studio.remove(self.hls)
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "motioncachegen", ""
    timeout = SECONDS

    def log_message(self, *_):
        pass

    # ---- asked ----

    def do_GET(self):
        self._serve(self._get)

    do_HEAD = do_GET

    def do_POST(self):
        self._serve(self._post)

    def do_DELETE(self):
        self._serve(self._delete)

    def _serve(self, action):
        try:
            self._check_origin()
            action()
        except Refused as wrong:
            self.close_connection = True # what is left of the body is not read
            self._send(wrong.status, json.dumps({"error": str(wrong)}), "application/json")
        except ValueError as wrong:
            self.close_connection = True
            self._send(400, json.dumps({"error": str(wrong)}), "application/json")

    def _check_origin(self):
        """Refuses requests of other pages, by Origin, and host names that were made to point to 127.0.0.1, by Host."""
        hosts = self.server.hosts
        if self.headers.get_all("Host", []) != [self.headers.get("Host")] or self.headers.get("Host") not in hosts:
            raise Refused(421, f"This is http://127.0.0.1:{self.server.server_port}/ and no other host.")
        origin = self.headers.get("Origin")
        if origin is not None and origin not in {f"http://{host}" for host in hosts}:
            raise Refused(403, "Only the page of this server may ask.")
        if self.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise Refused(403, "Only the page of this server may ask.")

    def _body(self, kind):
        if self.headers.get_content_type() != kind:
            raise Refused(415, f"Send {kind}.")
        if self.headers.get("Transfer-Encoding"):
            raise Refused(411, "Send the body in one piece, with its length.")
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,12}", length):
            raise Refused(411, "Send the body's length.")
        if int(length) > BODY_BYTES:
            raise Refused(413, f"The request has {length} bytes, and {BODY_BYTES} are allowed.")
        body = self.rfile.read(int(length))
        try:
            return body.decode("utf-8")
        except UnicodeDecodeError as wrong:
            raise Refused(400, "The body is not UTF-8.") from wrong

    def _json(self):
        try:
            told = json.loads(self._body("application/json"))
        except (json.JSONDecodeError, RecursionError) as wrong:
            raise Refused(400, "The body is not JSON.") from wrong
        if not isinstance(told, dict):
            raise Refused(400, "The body has to be a JSON object.")
        return told

    def _get(self):
        path = self.path.split("?")[0]
        segment = re.fullmatch(r"/hls/(segment\d{5,10}\.ts|index\.m3u8)", path)
        if path == "/":
            nonce = secrets.token_urlsafe(16)
            self._send(200, PAGE.read_text(encoding="utf-8").replace("NONCE", nonce), "text/html; charset=utf-8",
                       {"Content-Security-Policy": POLICY.replace("NONCE", nonce)})
        elif path == "/state":
            self._send(200, json.dumps(self.server.studio.state()), "application/json")
        elif segment:
            file = self.server.playlist_folder() / segment.group(1)
            try:
                data = file.read_bytes()
            except OSError as wrong:
                raise Refused(404, "Not yet, or no more.") from wrong
            self._send(200, data, "video/mp2t" if file.suffix == ".ts" else "application/vnd.apple.mpegurl")
        else:
            raise Refused(404, "There is no such page.")

    def _post(self):
        studio = self.server.studio
        if self.path == "/whep":
            name, answer = self.server.watch(self._body("application/sdp"))
            self._send(201, answer, "application/sdp", {"Location": f"/whep/{name}"})
            return
        actions = {"/prompt": lambda told: studio.set_prompt(told.get("prompt")),
                   "/queue": lambda told: studio.queue_prompt(told.get("prompt"), duration(told.get("seconds", 8))),
                   "/clear": lambda told: studio.clear_prompts(),
                   "/heat": lambda told: studio.show_heat(told.get("on") is True)}
        if self.path not in actions:
            raise Refused(404, "There is no such page.")
        actions[self.path](self._json())
        self._send(200, json.dumps(studio.state()), "application/json")

    def _delete(self):
        known = re.fullmatch(r"/whep/([0-9a-f]{16})", self.path)
        if not known or not self.server.leave(known.group(1)):
            raise Refused(404, "There is no such viewer.")
        self._send(200, "", "text/plain")

    # ---- answered ----

    def _send(self, status, body, kind, headers={}):
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), "Cache-Control": "no-store",
                            "X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin",
                            "Referrer-Policy": "no-referrer", **headers}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def duration(seconds):
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= 3600:
        raise ValueError("A queued prompt is shown for more than 0 and at most 3600 seconds.")
    return seconds
