# SPDX-License-Identifier: LGPL-2.1-or-later
"""The page of live.sh in Chromium: a prompt is typed, and the picture becomes another; and what the server refuses.

The first argument, where it has a slash, is the folder in which a screenshot is kept."""
import json
import pathlib
import re
import socket
import sys

sys.dont_write_bytecode = True
FOLDER = pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 and "/" in sys.argv[1] else ".")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from browser import Browser
from page import COLOURS, Live
from stream import main, missing_elements

RED, CAR = "a red ball bouncing over green hills", "a yellow car moving right through the desert"


def colour_of(prompt):
    """That of engine/testpattern."""
    value = 0xcbf29ce484222325
    for byte in prompt.encode():
        value = (value ^ byte) * 0x100000001b3 % 2**64
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9 % 2**64
    value = (value ^ value >> 27) * 0x94d049bb133111eb % 2**64
    value ^= value >> 31
    return [value & 255, value >> 8 & 255, value >> 16 & 255]


def near(seen, wanted):
    return all(abs(a - b) < 24 for a, b in zip(seen, wanted))


def await_colour(browser, live, prompt):
    """Until the picture in the browser has the prompt's colour."""
    live.await_that(f"the colour {colour_of(prompt)} of {prompt!r}",
                    lambda: (seen := browser.run(COLOURS)) and near(seen["strip"], colour_of(prompt)))


def test_a_prompt_is_typed_and_the_picture_changes(folder):
    with Live("--port", "0", f"prompt={RED}") as live, Browser() as browser:
        assert not near(colour_of(RED), colour_of(CAR))
        browser.open(live.url)
        browser.await_that("WebRTC", "document.querySelector('#note')?.textContent === 'live, WebRTC'")
        await_colour(browser, live, RED)
        browser.await_that("the prompt is told", f"document.querySelector('#shown').textContent === {json.dumps(RED)}")
        browser.type("#prompt", CAR)
        browser.press_enter()
        await_colour(browser, live, CAR)
        browser.await_that("the new prompt is told",
                           f"document.querySelector('#shown').textContent === {json.dumps(CAR)}")
        browser.await_that("figures", "Number(document.querySelector('#frames').textContent) > 20")
        for name, form in (("factor", r"^(\d+\.\d\d×|over 100×)$"), ("reused", r"^\d+ %$"), ("ready", r"^\d+$")):
            browser.await_that(f"the figure {name}", f"/{form}/.test(document.querySelector('#{name}').textContent)")
        # Figures go on, a queue is shown, and the queue's prompt follows.
        browser.type("#prompt", "a blue star")
        browser.run("document.querySelector('#seconds').value = 2")
        browser.click("#later")
        await_colour(browser, live, "a blue star")
        browser.type("#prompt", "a green fish")
        browser.run("document.querySelector('#seconds').value = 300")
        browser.click("#later")
        browser.type("#prompt", "a white bird")
        browser.click("#later")
        browser.await_that("the queue", "document.querySelectorAll('#queue li').length > 0")
        browser.screenshot(FOLDER / "live.png")
        browser.click("#clear")
        browser.await_that("no queue", "document.querySelectorAll('#queue li').length === 0")
        # A fault is told and nothing breaks.
        browser.run("document.querySelector('#prompt').value = '   '")
        browser.click("#now")
        browser.await_that("a fault", "document.querySelector('#fault').textContent.includes('empty')")
        assert live.state()["viewers"] == 1
        browser.open("about:blank")
        live.await_that("the viewer has gone", lambda: live.state()["viewers"] == 0)
        assert not [line for line in browser.said if "exception" in line], browser.said
        live.interrupt()
        live.end()


# It offers and gets an answer, of which it makes nothing.
NEVER_CONNECTS = """
window.RTCPeerConnection = class extends RTCPeerConnection {
  setRemoteDescription() { window.answered = true; return Promise.resolve(); }
};"""


def watch_by_hls(live, browser, url):
    """False: this browser cannot."""
    if not browser.run("document.createElement('video').canPlayType('application/vnd.apple.mpegurl')"):
        print("skip HLS: this chromium plays none")
        return False
    browser.open(url)
    browser.await_that("HLS", "document.querySelector('#note')?.textContent === 'live, HLS'", 300)
    await_colour(browser, live, RED)
    return True


def test_hls_where_webrtc_is_not_wanted(folder):
    with Live("--port", "0", f"prompt={RED}") as live, Browser() as browser:
        if watch_by_hls(live, browser, live.url + "#hls"):
            live.interrupt()
            live.end()


def test_hls_where_webrtc_fails(folder):
    with Live("--port", "0", f"prompt={RED}") as live, Browser() as browser:
        browser.ask("Page.addScriptToEvaluateOnNewDocument", source=NEVER_CONNECTS)
        if watch_by_hls(live, browser, live.url):
            assert browser.run("window.answered"), "WebRTC was not tried"
            live.await_that("the viewer by WebRTC has gone", lambda: live.state()["viewers"] == 1) # that of HLS is left
            live.interrupt()
            live.end()


def test_the_heat_map_goes_on_and_off(folder):
    with Live("--port", "0", f"prompt={RED}") as live, Browser() as browser:
        assert live.state()["heat"] is False
        browser.open(live.url)
        await_colour(browser, live, RED)
        browser.await_that("its button", "!document.querySelector('#heat').hidden")
        browser.click("#heat")
        browser.await_that("the map is on", "document.querySelector('#heat').dataset.on === 'true'")
        live.await_that("another colour than the prompt's", lambda: (seen := browser.run(COLOURS)) and not near(seen["strip"], colour_of(RED)))
        browser.click("#heat")
        browser.await_that("the map is off", "document.querySelector('#heat').dataset.on === 'false'")
        await_colour(browser, live, RED)
        status, told = live.post("/heat", {"on": True})
        assert status == 200 and told["heat"] is True and live.state()["heat"] is True


def test_what_is_no_request_of_the_page_is_refused(folder):
    with Live("--port", "0", f"prompt={RED}") as live:
        own = f"http://127.0.0.1:{live.port}"
        assert live.post("/prompt", {"prompt": CAR}, Origin=own)[0] == 200
        for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"},
                        {"Origin": f"http://127.0.0.1:{live.port + 1}"}, {"Origin": f"https://127.0.0.1:{live.port}"},
                        {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"}):
            assert live.post("/prompt", {"prompt": "a fish"}, **headers)[0] == 403, headers
        for host in ("evil.example", f"evil.example:{live.port}", "127.0.0.1", ""):
            assert live.post("/prompt", {"prompt": "a fish"}, Host=host)[0] == 421, host
        # What a form of another site could send is not JSON.
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            assert live.request("POST", "/prompt", '{"prompt": "a fish"}', Content_Type=kind)[0] == 415
        status, _, headers = live.request("GET", "/")
        assert status == 200 and "default-src 'none'" in headers["Content-Security-Policy"]
        assert "Access-Control-Allow-Origin" not in headers
        for path in ("/x", "/hls/../main.py", "/hls/%2e%2e/web.py", "/whep/0123456789abcdef", "/page.html", "/state/"):
            assert live.request("GET", path)[0] == 404, path
        assert live.request("DELETE", "/whep/0123456789abcdef")[0] == 404
        assert live.state()["queue"] == []
        live.await_that("the one that was allowed", lambda: live.state()["prompt"] == CAR)


def test_bad_prompts_are_told_and_change_nothing(folder):
    with Live("--port", "0", f"prompt={RED}") as live:
        bad = [{}, {"prompt": None}, {"prompt": 7}, {"prompt": ""}, {"prompt": " \n\t "}, {"prompt": "x" * 1001},
               {"prompt": "a\0b"}, {"prompt": "\ud800"}, {"prompt": ["a"]}, [], "a", 3, None]
        for path in ("/prompt", "/queue"):
            for what in bad:
                status, told = live.post(path, what)
                assert status == 400 and told["error"], (path, what, told)
        for seconds in (0, -1, 1e9, "8", None, True, []):
            assert live.post("/queue", {"prompt": "a fish", "seconds": seconds})[0] == 400, seconds
        for body in ("", "{", "[" * 5000, "nothing", '{"prompt": "a", '):
            assert live.request("POST", "/prompt", body, Content_Type="application/json")[0] == 400, body[:20]
        assert live.request("POST", "/prompt", b"\xff\xfe", Content_Type="application/json")[0] == 400
        # The first ones may have begun meanwhile, and wait no more.
        answers = [live.post("/queue", {"prompt": f"a fish, number {i}", "seconds": 3600})[0] for i in range(105)]
        assert answers[:100] == [200] * 100 and answers[-1] == 400, answers
        assert live.post("/clear", {})[1]["queue"] == []
        assert live.post("/prompt", {"prompt": "é 猫 <script>alert(1)</script> 🚀"})[0] == 200
        live.await_that("a prompt of any letters", lambda: live.state()["prompt"].endswith("🚀"))
        live.interrupt()
        live.end()


def send(port, data):
    """Raw bytes; what comes back until the other side closes, or nothing within a minute."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as s:
        try:
            s.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass # it has seen enough
        answer = b""
        try:
            while part := s.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
        return answer


def test_bodies_that_are_too_long_or_never_come(folder):
    with Live("--port", "0") as live:
        head = f"POST /prompt HTTP/1.1\r\nHost: 127.0.0.1:{live.port}\r\nContent-Type: application/json\r\n".encode()
        megabyte = json.dumps({"prompt": "x" * (1 << 20)}).encode()
        assert send(live.port, head + f"Content-Length: {len(megabyte)}\r\n\r\n".encode()).startswith(b"HTTP/1.1 413")
        status = live.request("POST", "/whep", "v=0\r\n" * 20000, Content_Type="application/sdp")[0]
        assert status == 413
        for length in (b"Content-Length: -5\r\n", b"Content-Length: many\r\n", b"", b"Transfer-Encoding: chunked\r\n"):
            assert send(live.port, head + length + b"\r\n").startswith(b"HTTP/1.1 411"), length
        assert send(live.port, head + b"Content-Length: 20\r\n\r\n{") == b"" # closed after ten seconds
        assert send(live.port, b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 414")
        assert live.state()["prompt"]


def test_offers_that_are_none(folder):
    with Live("--port", "0") as live:
        vp8 = ("v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n"
               "a=rtpmap:96 VP8/90000\r\n")
        h264 = "a=rtpmap:97 H264/90000\r\na=fmtp:97 packetization-mode=1;profile-level-id=42e01f\r\n"
        for offer in ("", "hello", vp8, h264, "m=" + h264, vp8 + h264):
            status, said, _ = live.request("POST", "/whep", offer, Content_Type="application/sdp")
            assert status == 400 and json.loads(said)["error"], (offer, said)
        assert live.state()["viewers"] == 0


def test_a_port_in_use_is_an_error(folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        stream = Live("--port", str(taken.getsockname()[1]))
        assert "Name another one with --port" in stream.end(status=1)


main([value for name, value in list(globals().items()) if name.startswith("test_")], Browser.missing(),
     missing_elements("x264enc", "webrtcbin", "nicesink", "hlssink2"))
