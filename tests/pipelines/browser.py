# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's Chromium without a window, driven over its debugging pipe."""
import base64
import json
import os
import shutil
import subprocess
import tempfile
import time


class Browser:
    @staticmethod
    def missing():
        return None if shutil.which("chromium") else "chromium is not installed"

    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="chromium-")
        to_browser, self.to = os.pipe()
        self.back, from_browser = os.pipe()

        def at_3_and_4():
            a, b = os.dup(to_browser), os.dup(from_browser)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
             "--autoplay-policy=no-user-gesture-required", "--window-size=1100,720", "--remote-debugging-pipe",
             f"--user-data-dir={self.profile}", "about:blank"],
            preexec_fn=at_3_and_4, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.number, self.rest, self.said = 0, b"", []
        targets = self.ask("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        self.session = None
        self.session = self.ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    session = None

    def ask(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.rest:
                data = os.read(self.back, 1 << 20)
                if not data:
                    raise AssertionError("chromium has gone")
                self.rest += data
            line, self.rest = self.rest.split(b"\0", 1)
            told = json.loads(line)
            if told.get("id") == self.number:
                if "error" in told:
                    raise AssertionError(f"{method}: {told['error']}")
                return told["result"]
            if told.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
                self.said.append(json.dumps(told["params"])[:500])

    def open(self, url):
        self.ask("Page.navigate", url=url)

    def run(self, script):
        """The value of an expression in the page; promises are awaited."""
        told = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in told:
            raise AssertionError(json.dumps(told["exceptionDetails"])[:1000])
        return told["result"].get("value")

    def await_that(self, what, script, seconds=120):
        end = time.monotonic() + seconds
        while not (seen := self.run(script)):
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds} s: {what}; the page has said {self.said[-5:]}")
            time.sleep(0.3)
        return seen

    def click(self, selector):
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def type(self, selector, text):
        """Key by key, as somebody does."""
        field = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{field}.focus(); {field}.select()")
        self.ask("Input.insertText", text=text)

    def press_enter(self):
        for kind in ("rawKeyDown", "char", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r",
                     windowsVirtualKeyCode=13)

    def screenshot(self, file, scale=1):
        """Of what the page fills, from its top."""
        width, height = self.run("[innerWidth, Math.min(innerHeight, Math.ceil(document.body.getBoundingClientRect().bottom))]")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": scale}
        data = self.ask("Page.captureScreenshot", format="png", clip=clip)["data"]
        with open(file, "wb") as out:
            out.write(base64.b64decode(data))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.to)
        os.close(self.back)
        shutil.rmtree(self.profile, ignore_errors=True)
