# SPDX-License-Identifier: LGPL-2.1-or-later
"""Servers of other people on loopback, each with a port of its own, in a folder of its own, ended by its own id."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request

NGINX_MODULE = pathlib.Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, condition, seconds=300, said=str):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}\n{said()}")
        time.sleep(0.2)


def listens(port):
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


class Nginx:
    """nginx with libnginx-mod-rtmp: records what is published as live/KEY into recordings(), tells of it in /stat."""
    CONFIG = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log info;
load_module {module};
events {{ worker_connections 64; }}
rtmp {{ server {{ listen 127.0.0.1:{port}; chunk_size 4096; application live {{
    live on; record all; record_path {folder}/recordings; record_unique on; record_append off;
    {hls}
    allow publish 127.0.0.1; deny publish all; }}
    application closed {{ live on; deny publish all; }} }} }}
http {{ access_log off; client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    server {{ listen 127.0.0.1:{http}; location /stat {{ rtmp_stat all; }} }} }}
"""
    HLS = "hls on; hls_path {folder}/hls; hls_fragment 1s; hls_playlist_length 1h;"

    @staticmethod
    def missing():
        program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
        return None if program and NGINX_MODULE.is_file() else "nginx or libnginx-mod-rtmp is not installed"

    def __init__(self, folder, hls=True):
        self.folder = pathlib.Path(folder)
        self.hls = self.HLS.format(folder=self.folder) if hls else ""
        (self.folder / "recordings").mkdir(parents=True, exist_ok=True)
        self.port, self.http = free_port(), free_port()
        self.url = f"rtmp://127.0.0.1:{self.port}/live/stream"
        self.process = None
        self.start()

    def start(self):
        config = self.folder / "nginx.conf"
        config.write_text(self.CONFIG.format(folder=self.folder, module=NGINX_MODULE, port=self.port, http=self.http,
                                             hls=self.hls))
        program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
        # In a session of its own: Ctrl-C is not for it.
        self.process = subprocess.Popen([program, "-p", str(self.folder), "-c", str(config)], stderr=subprocess.DEVNULL,
                                        start_new_session=True)
        wait_for("nginx listens", lambda: listens(self.port))

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def settle(self):
        """Until nobody publishes any more; then it ends, and the recordings are complete."""
        wait_for("nobody publishes any more", lambda: "<publishing/>" not in self.stat())
        self.stop()

    def stat(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/stat", timeout=5) as answer:
            return answer.read().decode()

    def recordings(self):
        """In the order in which they were begun; the server names them by the second."""
        return sorted((self.folder / "recordings").glob("*.flv"), key=lambda file: file.stat().st_mtime)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Proxy:
    """Between a client and a server's port. From its first client it reads so many bytes and no more, until there is
    another one. With small buffers: the client soon notices."""

    def __init__(self, port, limit):
        self.limit = limit
        self.server_port = port
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.port = self.listener.getsockname()[1]
        self.pair = ()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        first = True
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self._let_go(*self.pair)
            try:
                server = socket.create_connection(("127.0.0.1", self.server_port))
            except OSError:
                client.close()
                continue
            self.pair = client, server
            for ends in ((client, server, self.limit if first else None), (server, client, None)):
                threading.Thread(target=self._pump, args=ends, daemon=True).start()
            first = False

    @staticmethod
    def _pump(source, target, limit):
        passed = 0
        try:
            while limit is None or passed < limit:
                data = source.recv(4096)
                if not data:
                    break
                target.sendall(data)
                passed += len(data)
            else:
                return # and nobody reads any more
        except OSError:
            pass
        Proxy._let_go(source, target)

    @staticmethod
    def _let_go(*sockets):
        for s in sockets:
            try:
                s.shutdown(socket.SHUT_RDWR) # also of a thread that waits in it, which close() does not wake
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        self._let_go(*self.pair)
