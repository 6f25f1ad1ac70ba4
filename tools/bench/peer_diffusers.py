# SPDX-License-Identifier: LGPL-2.1-or-later
"""Diffusers at the work of the full window, for --peer of pipelines/benchmark.sh:

    python3 -m venv peer && peer/bin/pip install -r tools/bench/requirements-peer.txt
    pipelines/benchmark.sh --caches --peer "peer/bin/python tools/bench/peer_diffusers.py models/demo"

MODEL is a folder in the Diffusers layout with a generation_config.json, whose settings it takes, so that both programs do
the same: block-causal, every chunk passed in every row. Prints the line of JSON that benchmark.py describes.
"""
import argparse
import json
import os
import pathlib
import time

os.environ["HF_HUB_OFFLINE"] = "1"  # everything is in the folder

import torch
from diffusers import SkyReelsV2DiffusionForcingPipeline, UniPCMultistepScheduler


class Clock:
    """Adds up the seconds of a part's calls."""

    def __init__(self, part, method):
        self.seconds, self.calls, self.inner = 0.0, 0, getattr(part, method)
        setattr(part, method, self)

    def __call__(self, *args, **kwargs):
        start = time.perf_counter()
        try:
            return self.inner(*args, **kwargs)
        finally:
            self.seconds += time.perf_counter() - start
            self.calls += 1


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", metavar="MODEL")
    p.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--steps", type=int, help="default: the model's")
    p.add_argument("--prompt", default="a white boat moving left on the sea")
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    config = json.loads((pathlib.Path(a.model) / "generation_config.json").read_text())
    pipe = SkyReelsV2DiffusionForcingPipeline.from_pretrained(a.model, torch_dtype=getattr(torch, a.dtype))
    pipe.vae.to(torch.float32)  # as this program's
    pipe.scheduler = UniPCMultistepScheduler.from_config(pipe.scheduler.config, flow_shift=config["shift"])
    pipe.set_progress_bar_config(disable=True)
    text, transformer = Clock(pipe.text_encoder, "forward"), Clock(pipe.transformer, "forward")
    vae = Clock(pipe.vae, "decode")
    start = time.perf_counter()
    pipe(a.prompt, negative_prompt=config["negative_prompt"], num_inference_steps=a.steps or config["steps"],
         guidance_scale=config["guidance_scale"], num_frames=config["num_frames"], width=config["width"],
         height=config["height"], fps=config["frame_rate"], base_num_frames=config["base_num_frames"],
         overlap_history=config["overlap_history"], causal_block_size=config["causal_block_size"],
         ar_step=config["ar_step"], generator=torch.Generator().manual_seed(0), output_type="np")
    seconds = time.perf_counter() - start
    print(json.dumps({"dtype": a.dtype, "threads": a.threads, "seconds": seconds, "text": text.seconds,
                      "transformer": transformer.seconds, "transformer_calls": transformer.calls,
                      "vae": vae.seconds}))


if __name__ == "__main__":
    main()
