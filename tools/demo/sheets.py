# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/contact-sheet.png and docs/sample.png, drawn with the model's defaults."""
import json
import pathlib
import re
import sys
import textwrap

import videos

sys.path.insert(0, str(videos.ROOT / "tools" / "quality"))
import pictures

SEEDS, FRAMES = (0, 1, 2), (4, 28, 52)
SAMPLE_FRAMES = (4, 16, 28, 40, 52)
# The sheet is to stay small enough for the repository: 6 bits of each colour pack twice as well as 8 and look alike.
SIX_BITS = bytes(min(255, (value + 2) // 4 * 4) for value in range(256))


def sheet_prompts(quick):
    lines = (videos.ROOT / "tools" / "demo" / "sheet_prompts.txt").read_text(encoding="utf-8").splitlines()
    prompts = [line for line in lines if line and not line.startswith("#")]
    return prompts[::8] if quick else prompts


def first_prompt(readme):
    """That of the README's first pipeline."""
    return re.search(r'motioncachegen prompt="([^"]+)"', readme).group(1)


def readme_prompts(readme):
    """That one, and those that the README gives as examples of what the model understands."""
    examples = re.search(r"^## What the demo model understands$.*?^```\n(.*?)^```$", readme, re.S | re.M).group(1)
    return list(dict.fromkeys([first_prompt(readme), *examples.strip().splitlines()]))


def draw(say, threads, quick):
    """Returns what the caption says of the contact sheet."""
    rows = []
    prompts = sheet_prompts(quick)
    for i, prompt in enumerate(prompts):
        say(f"contact sheet: prompt {i + 1} of {len(prompts)}")
        rows.append(("\n".join(textwrap.wrap(prompt, 20)),
                     b"".join(videos.make(prompt, seed, threads).translate(SIX_BITS) for seed in SEEDS)))
    columns = [n * videos.FRAMES + frame for n in range(len(SEEDS)) for frame in FRAMES]
    heads = [f"seed {seed}, {frame}" for seed in SEEDS for frame in FRAMES]
    pictures.contact_sheet(str(videos.ROOT / "docs" / "contact-sheet.png"), rows, columns, videos.WIDTH, videos.HEIGHT,
                           scale=1, heads=heads)
    readme = (videos.ROOT / "README.md").read_text(encoding="utf-8")
    rows = []
    for prompt in readme_prompts(readme):
        say(f"sample: {prompt}")
        rows.append(("\n".join(textwrap.wrap(prompt, 20)), videos.make(prompt, 0, threads)))
    pictures.contact_sheet(str(videos.ROOT / "docs" / "sample.png"), rows, list(SAMPLE_FRAMES), videos.WIDTH,
                           videos.HEIGHT, scale=1)
    config = json.loads((videos.MODEL / "generation_config.json").read_text())
    return {"prompts": len(prompts), "seeds": SEEDS, "frames": FRAMES, "steps": config["steps"],
            "guidance": f"{config['guidance_scale']:g}", "shift": f"{config['shift']:g}"}
