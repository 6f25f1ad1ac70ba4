# SPDX-License-Identifier: LGPL-2.1-or-later
"""live_demo_test.py OUT.png: the page of live.sh with the demo model, as somebody uses it: a prompt is typed and the picture
becomes the new one, with the heat map over it and without. Keeps a screenshot, which docs/live.png is."""
import os
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from browser import Browser
from page import COLOURS, Live
from stream import main, missing_elements

OUT = pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 else "live.png")
DESERT, WATER = "an orange ball still in the desert at sunset", "an orange fish moving in a circle under water"
HILLS, SPACE = "a red ball bouncing over green hills", "a white rocket going up among the stars"


class DemoLive(Live):
    settings = ["seed=3"]


def test_the_demo_model_on_the_page(folder):
    del os.environ["MOTIONCACHE_ENGINE"]
    with DemoLive("--port", "0", f"prompt={DESERT}") as live, Browser() as browser:
        def await_blue(more_than_red):
            def there():
                seen = browser.run(COLOURS)
                return seen and (seen["all"][2] > seen["all"][0]) == more_than_red
            live.await_that(f"blue above red: {more_than_red}", there)

        browser.open(live.url)
        browser.await_that("WebRTC", "document.querySelector('#note')?.textContent === 'live, WebRTC'")
        await_blue(False)
        browser.type("#prompt", WATER)
        browser.press_enter()
        await_blue(True)
        browser.click("#heat")
        browser.await_that("the map is on", "document.querySelector('#heat').dataset.on === 'true'")
        browser.click("#heat")
        browser.await_that("the map is off", "document.querySelector('#heat').dataset.on === 'false'")
        browser.await_that("figures", "Number(document.querySelector('#frames').textContent) > 200")
        browser.await_that("tokens reused", "/^[1-9]\\d* %$/.test(document.querySelector('#reused').textContent)")
        browser.await_that("a real-time factor", "/^\\d+\\.\\d\\d×$/.test(document.querySelector('#factor').textContent)")
        browser.run("document.querySelector('#seconds').value = 20")
        for prompt in (WATER, HILLS, SPACE): # the first one begins at once
            browser.type("#prompt", prompt)
            browser.click("#later")
        browser.await_that("the queue", "document.querySelectorAll('#queue li').length > 1")
        browser.screenshot(OUT, scale=0.75)
        assert OUT.stat().st_size < 200_000, f"{OUT} has {OUT.stat().st_size} bytes"
        live.interrupt()
        live.end()


main([test_the_demo_model_on_the_page], Browser.missing(),
     missing_elements("x264enc", "webrtcbin", "nicesink", "hlssink2"))
