# SPDX-License-Identifier: LGPL-2.1-or-later
"""Videos of the demo model, as the element makes them. To be run where GStreamer finds the element."""
import os
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "demo"
WIDTH, HEIGHT, FRAMES = 160, 96, 57


def make(prompt, seed, threads=0, **properties):
    """Returns frame after frame of RGB, lines from the top. properties: the element's, with _ for -."""
    if set(prompt) & set('"\\'):
        raise ValueError(f"a prompt with quotes: {prompt}")
    settings = {"model-path": MODEL, "device": "cpu", "seed": seed, "threads": threads,
                **{name.replace("_", "-"): value for name, value in properties.items()}}
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "video.rgb"
        done = subprocess.run(
            ["gst-launch-1.0", "-q", "motioncachegen", f'prompt="{prompt}"',
             *(f'{name}="{value}"' for name, value in settings.items()),
             "!", "video/x-raw,format=RGB", "!", "filesink", f'location="{file}"'],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "MOTIONCACHE_ENGINE": ""})
        video = file.read_bytes() if file.exists() else b""
    if done.returncode or len(video) != 3 * WIDTH * HEIGHT * FRAMES:
        raise RuntimeError(f"no video of \"{prompt}\" ({len(video)} bytes): {done.stdout.strip()}")
    return video
