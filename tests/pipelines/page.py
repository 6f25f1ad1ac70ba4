# SPDX-License-Identifier: LGPL-2.1-or-later
"""The page of live.sh: its server as a process, and what a browser sees of the video."""
import http.client
import json
import re

from stream import ROOT, Stream

MAIN = ROOT / "pipelines" / "live" / "main.py"
# The mean colour of the picture, and of its lowest part, where the test pattern has a colour of the prompt.
COLOURS = """(() => {
  const canvas = document.createElement("canvas"), video = document.querySelector("video");
  if (!video?.videoWidth) return null;
  canvas.width = video.videoWidth; canvas.height = video.videoHeight;
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0);
  const mean = top => {
    const data = context.getImageData(0, top, canvas.width, canvas.height - top).data, sum = [0, 0, 0];
    for (let i = 0; i < data.length; i++) if (i % 4 < 3) sum[i % 4] += data[i];
    return sum.map(x => x / (data.length / 4));
  };
  return {strip: mean(Math.ceil(canvas.height * 15 / 16)), all: mean(0)};
})()"""


class Live(Stream):
    program = MAIN

    def __enter__(self):
        self.await_line("The page: ")
        line = next(line for line in self.lines if "The page: " in line)
        self.port = int(re.search(r"127\.0\.0\.1:(\d+)/", line).group(1))
        self.url = f"http://127.0.0.1:{self.port}/"
        return self

    def request(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()

    def post(self, path, what, **headers):
        status, text, _ = self.request("POST", path, json.dumps(what), Content_Type="application/json", **headers)
        return status, json.loads(text)

    def state(self):
        return json.loads(self.request("GET", "/state")[1])
