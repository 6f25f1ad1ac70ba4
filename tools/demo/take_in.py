# SPDX-License-Identifier: LGPL-2.1-or-later
"""Installs newly trained weights of the demo model, stage by stage; run by tools/demo/take-in.sh, which builds."""
import argparse
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import time
import venv

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import figures
import pages
import sheets
import weights
from videos import MODEL, ROOT

STAGES = ("weights", "calibration", "pictures", "caches", "tokens", "pages", "check")
MEASURED = ("pictures", "caches", "tokens")
SETTLED = ("calibration", *MEASURED)  # done anew when the calibration or a default is another


def say(text):
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def run(*command):
    done = subprocess.run([str(part) for part in command], cwd=ROOT)
    if done.returncode:
        raise weights.Refused(f"{pathlib.Path(command[0]).name} ended with {done.returncode}: "
                              f"{shlex.join(map(str, command))}")


class Stages:
    def __init__(self, a):
        self.a, self.build = a, pathlib.Path(a.build)
        self.work = self.build / "take-in"
        self.work.mkdir(exist_ok=True)

    # ---- what was done, and for what

    def key(self, stage):
        key = [weights.fingerprint(MODEL), "quick" if self.a.quick else "full"]
        if stage in SETTLED:
            key.append(weights.fingerprint(MODEL, weights.SETTINGS))
        return key

    def done(self, stage):
        stamp = self.work / f"{stage}.done"
        try:
            return stamp.exists() and json.loads(stamp.read_text()) == self.key(stage)
        except FileNotFoundError:  # no calibration yet
            return False

    def run(self, stage):
        say(f"stage {stage}")
        (self.work / f"{stage}.done").unlink(missing_ok=True)
        getattr(self, stage)()
        (self.work / f"{stage}.done").write_text(json.dumps(self.key(stage)))

    # ---- the stages

    def weights(self):
        if not self.a.folder:
            raise weights.Refused("The stage weights needs the folder of the training.")
        folder = pathlib.Path(self.a.folder).resolve()
        weights.check(folder, MODEL)
        changed = weights.copy(folder, MODEL)
        say("copied: " + ("other weights than before" if changed else "the weights that were there"))
        (self.work / "training.json").write_text(json.dumps(weights.training(folder)))
        theirs, ours = (json.loads((f / "generation_config.json").read_text()) for f in (folder, MODEL))
        for name in weights.CHOSEN:
            if theirs[name] != ours[name]:
                say(f"{name} stays {ours[name]}, as chosen on contact sheets; the folder has {theirs[name]}")

    def calibration(self):
        # The settings of a new training are not known before.
        run(self.build / "tools" / "calibrate" / "motioncache-calibrate", MODEL, "--device", "cpu", "--threads",
            self.a.threads, *(["--quick", "--steps", "12"] if self.a.quick else []))

    def pictures(self):
        (self.work / "sheet.json").write_text(json.dumps(sheets.draw(say, self.a.threads, self.a.quick)))
        run(ROOT / "pipelines" / "overlay.sh", ROOT / "docs" / "overlay.png")

    def bench(self, program, result, *more):
        run(sys.executable, ROOT / "tools" / "bench" / program, "--build", self.build, "--threads", self.a.threads,
            "--json", self.work / result, *more, *(["--quick"] if self.a.quick else []))

    def caches(self):
        peer = []
        if not self.a.no_peer:
            command = [self.peer_python(), ROOT / "tools" / "bench" / "peer_diffusers.py", MODEL]
            peer = ["--peer", shlex.join(map(str, command)), "--repeat", 1 if self.a.quick else 3]
        self.bench("caches.py", "caches.json", "--pictures", self.work, *peer)
        shutil.copyfile(self.work / "quality-over-flop.svg", ROOT / "docs" / "caches-quality.svg")
        shutil.copyfile(self.work / "contact-sheet.png", ROOT / "docs" / "caches-sheet.png")

    def peer_python(self):
        if self.a.peer_python:
            return pathlib.Path(self.a.peer_python).absolute()
        python = self.work / "peer" / "bin" / "python"
        there = python.exists()
        if not there or subprocess.run([python, "-c", "import diffusers"], capture_output=True).returncode:
            say("installing Diffusers for the comparison, once (some GB); --no-peer goes without")
            venv.create(self.work / "peer", with_pip=True)
            run(python, "-m", "pip", "install", "--quiet", "-r", ROOT / "tools" / "bench" / "requirements-peer.txt")
        return python

    def tokens(self):
        self.bench("tokens.py", "tokens.json")

    def pages(self):
        for stage in MEASURED:
            if not self.done(stage):
                raise weights.Refused(f"The stage {stage} was not done for these weights and settings"
                                      f"{' with --quick' if self.a.quick else ''}: run without --only.")
        data = figures.gather(*(json.loads((self.work / f"{name}.json").read_text())
                                for name in ("caches", "tokens")), MODEL,
                              json.loads((self.work / "training.json").read_text()),
                              json.loads((self.work / "sheet.json").read_text()), self.a.quick)
        # Through JSON, so that the pages are written from what the check will read.
        figures.FILE.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        data = json.loads(figures.FILE.read_text(encoding="utf-8"))
        blocks = figures.blocks(data)
        for name in figures.PAGES:
            path = ROOT / name
            text = path.read_text(encoding="utf-8")
            path.write_text(pages.write(text, data["figures"], blocks), encoding="utf-8")

    def check(self):
        run(sys.executable, ROOT / "tests" / "docs" / "figures_test.py")


def arguments():
    p = argparse.ArgumentParser(prog="take-in.sh", description=__doc__)
    p.add_argument("folder", nargs="?", metavar="FOLDER",
                   help="output of the training: Diffusers layout with a README.md")
    p.add_argument("--quick", action="store_true", help="few prompts, few steps: a smoke test")
    group = p.add_mutually_exclusive_group()
    group.add_argument("--from", dest="first", choices=STAGES, metavar="STAGE",
                       help="run this stage and all after it again")
    group.add_argument("--only", choices=STAGES, metavar="STAGE", help="run only this stage, again")
    p.add_argument("--threads", type=int, default=os.cpu_count(), help="default: one per processor")
    p.add_argument("--no-peer", action="store_true",
                   help="do not compare with Diffusers, and leave it out of the pages")
    p.add_argument("--peer-python", metavar="PYTHON",
                   help="a python3 with the packages of tools/bench/requirements-peer.txt")
    p.add_argument("--build", required=True, help=argparse.SUPPRESS)
    return p.parse_args()


def main():
    a = arguments()
    stages = Stages(a)
    try:
        if a.only:
            stages.run(a.only)
            return
        first = STAGES.index(a.first) if a.first else 0
        for i, stage in enumerate(STAGES):
            if i < first:
                continue
            # Pages and check take seconds; weights are compared with the folder when one is given.
            if not a.first and stage in SETTLED and stages.done(stage):
                say(f"stage {stage}: was done for these weights")
            elif stage != "weights" or a.folder or a.first:
                stages.run(stage)
    except weights.Refused as refused:
        sys.exit(f"take-in.sh: {refused}")


if __name__ == "__main__":
    main()
