# SPDX-License-Identifier: LGPL-2.1-or-later
"""How each command of the texts is tried in a clean clone, or why it is not. The one place that says so."""
from typing import NamedTuple


class Tried(NamedTuple):
    clone: str         # commands of one clone follow each other in it, the first in a clone where nothing is built
    run: str           # for a shell in the clone's top folder
    texts: tuple       # the commands as texts.py finds them
    shows: str = ""    # a regular expression that is found in what it prints
    makes: str = ""    # a file that is not empty afterwards
    writes: dict = {}  # programs of code blocks -> file that they are saved as before


class NotTried(NamedTuple):
    why: str
    texts: tuple


SMALL = "num-frames=5 steps=2"
DEMO = f'gst-launch-1.0 -e motioncachegen prompt="a red ball" {SMALL} ! fakesink'
MP4 = ("gst-launch-1.0 -e motioncachegen prompt=\"a white boat moving left on the sea\" ! x264enc ! mp4mux ! "
       "filesink location=out.mp4")

# README.md's lines, as `stream.sh KIND --print` has them; what has no end is ended by Ctrl-C.
PROMPT = 'motioncachegen prompt="a white boat moving left on the sea"'
LIVE = f"gst-launch-1.0 -e {PROMPT} num-frames=-1 is-live=true underrun=repeat"
H264 = "x264enc tune=zerolatency speed-preset=veryfast key-int-max=48"
FMP4 = (f"gst-launch-1.0 -e {PROMPT} ! {H264} ! mp4mux fragment-duration=500 streamable=true ! filesink buffer-mode=unbuffered "
        "location=out.mp4")
HLS = (f"gst-launch-1.0 -e {PROMPT} ! x264enc speed-preset=veryfast key-int-max=48 ! h264parse ! hlssink2 async-handling=true target-duration=2 "
       "playlist-length=0 location=./segment%05d.ts playlist-location=./index.m3u8")
RTMP = (f"{LIVE} ! {H264} ! h264parse ! queue ! mux. audiotestsrc wave=silence is-live=true ! audioconvert ! "
        "audio/x-raw,rate=44100,channels=2 ! voaacenc bitrate=64000 ! aacparse ! queue ! mux. flvmux name=mux streamable=true "
        "latency=10000000000 ! rtmp2sink location=rtmp://127.0.0.1/live/motioncache sync=false")
SRT = (f"{LIVE} ! {H264} ! h264parse config-interval=-1 ! mpegtsmux alignment=7 ! srtsink uri=srt://127.0.0.1:7001 sync=false")
CAMERA = (f"{LIVE} ! videoconvert ! video/x-raw,format=YUY2 ! identity drop-allocation=true ! v4l2sink device=/dev/video0")
WINDOW = f"{LIVE} ! videoconvert ! autovideosink"
PLAYBIN = ('gst-launch-1.0 -e playbin uri="motioncache://?prompt=a%20white%20boat%20moving%20left%20on%20the%20sea&num-frames=-1&'
           'is-live=true&underrun=repeat" video-sink=autovideosink')
# ffmpeg as the server, which ends with the stream.
RTMP_SERVER = "ffmpeg -v error -nostdin -y -f flv -listen 1 -i rtmp://127.0.0.1:19351/live/motioncache -c copy got.flv &"
SRT_SERVER = "ffmpeg -v error -nostdin -y -i 'srt://127.0.0.1:17001?mode=listener' -c copy got.ts &"
COUNT = "wait; ffprobe -v error -count_frames -select_streams v -show_entries stream=nb_read_frames"

PASSED = r"(?m)^[1-9]\d* passed, 0 failed$"

TRIED = [
    Tried("quickstart", "./pipelines/quickstart.sh",
          ('pipelines/quickstart.sh ["PROMPT"] [OUT.mp4]', "pipelines/quickstart.sh"),
          shows="Done: ./out.mp4, 57 frames", makes="out.mp4"),

    Tried("devenv", f"./pipelines/devenv.sh {MP4}", (f"pipelines/devenv.sh {MP4}", "gst-launch-1.0 -e"),
          makes="out.mp4"),
    Tried("devenv", "./pipelines/devenv.sh gst-inspect-1.0 motioncachegen",
          ("pipelines/devenv.sh gst-inspect-1.0 motioncachegen", "pipelines/devenv.sh COMMAND [ARGUMENT...]",
           "pipelines/devenv.sh", "pipelines/devenv.sh gst-launch-1.0 ..."), shows="negative-prompt"),
    Tried("devenv", 'MOTIONCACHE_ENGINE=testpattern ./pipelines/devenv.sh gst-launch-1.0 playbin '
          'uri="motioncache://?prompt=a%20red%20ball%20bouncing&seed=3&num-frames=5" video-sink=fakesink',
          ('pipelines/devenv.sh gst-launch-1.0 playbin uri="motioncache://?prompt=a%20red%20ball%20bouncing&seed=3"',),
          shows="Got EOS"),
    Tried("devenv", "./pipelines/overlay.sh out.png",
          ("pipelines/overlay.sh docs/overlay.png", "pipelines/overlay.sh [OUT.png]", "pipelines/overlay.sh"),
          makes="out.png"),
    Tried("devenv", "./pipelines/devenv.sh gst-inspect-1.0 -b", ("gst-inspect-1.0 -b",), shows="blacklisted"),
    Tried("devenv", "ldd build/engine/libmotioncache.so", ("ldd build/engine/libmotioncache.so",),
          shows="libtorch_cpu.so => /"),
    Tried("devenv", f"GST_DEBUG=motioncachegen:5,motioncache-engine:5 ./pipelines/devenv.sh {DEMO}",
          ("GST_DEBUG=motioncachegen:5,motioncache-engine:5",), shows=r"motioncache-engine .*cache, first chunk"),
    Tried("devenv", f"MOTIONCACHE_TEXT_CACHE=always ./pipelines/devenv.sh {DEMO} && "
          f"MOTIONCACHE_TEXT_CACHE=never ./pipelines/devenv.sh {DEMO}",
          ("MOTIONCACHE_TEXT_CACHE=always", "MOTIONCACHE_TEXT_CACHE=never")),
    Tried("devenv", f"MOTIONCACHE_AMX=off ./pipelines/devenv.sh {DEMO} && MOTIONCACHE_AMX=emulated GST_DEBUG=motioncache-engine:4 "
          f"./pipelines/devenv.sh {DEMO}",
          ("MOTIONCACHE_AMX=off", "MOTIONCACHE_AMX=emulated"), shows="emulation of matrix units"),
    Tried("devenv", f"MOTIONCACHE_ENGINE=testpattern ./pipelines/devenv.sh {DEMO}", ("MOTIONCACHE_ENGINE=testpattern",),
          shows="test pattern"),
    Tried("devenv", "cp -r models/demo MODEL && rm MODEL/motioncache.json && ./pipelines/devenv.sh motioncache-calibrate MODEL "
          "--quick --frames 21 --width 32 --height 32 --steps 6",
          ("pipelines/devenv.sh motioncache-calibrate MODEL", "motioncache-calibrate MODEL [options]"),
          makes="MODEL/motioncache.json"),
    Tried("devenv", "export WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=29517; RANK=1 ./pipelines/devenv.sh motioncache-worker & "
          f"RANK=0 ./pipelines/devenv.sh {DEMO} && wait",
          ("WORLD_SIZE=2 RANK=1 MASTER_ADDR=127.0.0.1 MASTER_PORT=29500 motioncache-worker &",
           'WORLD_SIZE=2 RANK=0 MASTER_ADDR=127.0.0.1 MASTER_PORT=29500 gst-launch-1.0 motioncachegen prompt="a red ball" ! autovideosink'),
          shows="rank 0 has ended"),
    Tried("devenv", "./pipelines/devenv.sh motioncache-worker --help && ./pipelines/devenv.sh motioncache-worker --count",
          ("motioncache-worker --help", "motioncache-worker --count", "motioncache-worker",
           "motioncache-worker [--model FOLDER] [--device NAME] [--threads N] [--wait SECONDS] [--count]"),
           shows="counted, not measured"),
    Tried("devenv", "./pipelines/devenv.sh motioncache-calibrate --help",
          ("motioncache-calibrate --help", "motioncache-calibrate"),
          shows="motioncache-calibrate MODEL"),
    Tried("devenv", "./pipelines/devenv.sh sh -c 'cc video.c -o video $(pkg-config --cflags --libs motioncache)'",
          ("pipelines/devenv.sh sh -c 'cc video.c -o video $(pkg-config --cflags --libs motioncache)'",
           "README.md: c program"),
          makes="video", writes={"README.md: c program": "video.c"}),
    Tried("devenv", "./video >video.rgb", ("video >video.rgb",), makes="video.rgb"),
    Tried("devenv", "rm out.mp4; ./pipelines/devenv.sh python3 video.py",
          ("pipelines/devenv.sh python3 video.py", "README.md: python program"), shows=r"(?m)^seed \d+",
          makes="out.mp4",
          writes={"README.md: python program": "video.py"}),
    Tried("devenv", "DESTDIR=$PWD/installed ./pipelines/devenv.sh meson install -C build",
          ("pipelines/devenv.sh meson install -C build", "meson install"), shows="libgstmotioncache.so"),

    Tried("stream", './pipelines/stream.sh mp4 out.mp4 prompt="a red ball bouncing over green hills"',
          ('pipelines/stream.sh mp4 out.mp4 prompt="a red ball bouncing over green hills"',
           "pipelines/stream.sh KIND [TARGET] [NAME=VALUE...] [OPTION...]"), shows="Done: out.mp4, 57 frames",
           makes="out.mp4"),
    Tried("stream", "./pipelines/stream.sh --help",
          ("pipelines/stream.sh --help", "pipelines/stream.sh", "pipelines/stream/main.py"),
          shows="KIND, with the pipeline that it plays"),
    Tried("stream", "rm out.mp4; ./pipelines/stream.sh fmp4 out.mp4 num-frames=96",
          ("pipelines/stream.sh fmp4 out.mp4 num-frames=96",),
          shows="96 frames", makes="out.mp4"),
    Tried("stream", "./pipelines/stream.sh hls site/hls num-frames=96",
          ("pipelines/stream.sh hls site/hls num-frames=96",),
          shows="96 frames", makes="site/hls/index.m3u8"),
    Tried("stream", f"{RTMP_SERVER} sleep 1; timeout --foreground -s INT 20 ./pipelines/stream.sh rtmp rtmp://127.0.0.1:19351/live/motioncache; "
          f"{COUNT} got.flv", ("pipelines/stream.sh rtmp rtmp://127.0.0.1/live/motioncache",),
          shows=r"nb_read_frames=[1-9]\d+"),
    Tried("stream", f"{SRT_SERVER} sleep 1; timeout --foreground -s INT 20 ./pipelines/stream.sh srt srt://127.0.0.1:17001; {COUNT} got.ts",
          ("pipelines/stream.sh srt srt://127.0.0.1:7001",), shows=r"nb_read_frames=[1-9]\d+"),
    Tried("stream", "./pipelines/stream.sh play fakevideosink num-frames=9", ("pipelines/stream.sh play",),
          shows="9 frames"),
    Tried("stream", "./pipelines/stream.sh playbin fakevideosink num-frames=9", ("pipelines/stream.sh playbin",),
          shows="9 frames"),
    Tried("stream", "timeout --foreground -s INT 30 ./pipelines/live.sh --port 0; echo ended",
          ("pipelines/live.sh", "pipelines/live/main.py", "pipelines/live.sh [NAME=VALUE...] [OPTION...]",
          "pipelines/live.sh [NAME=VALUE...] [--port N] [--help for the rest]"),
          shows=r"The page: http[^$]*Done: \d+ frames[^$]*ended"),
    Tried("stream", "./pipelines/soak.sh 0.005 --every 1",
          ("pipelines/soak.sh 0.5", "pipelines/soak.sh HOURS [--pace N] [--help for the rest]",
          "pipelines/soak.sh HOURS [OPTION...]", "pipelines/soak.sh", "pipelines/soak/main.py"), shows="Nothing grew"),
    Tried("stream", "(sleep 40; echo a red ball) | ./pipelines/devenv.sh pipelines/examples/prompts.py fakevideosink",
          ("pipelines/devenv.sh pipelines/examples/prompts.py", "pipelines/examples/prompts.py",
           "pipelines/examples/prompts.py [SINK...]"), shows="frame 0: a white boat"),
    Tried("stream", f"rm out.mp4; ./pipelines/devenv.sh {FMP4}", (f"pipelines/devenv.sh {FMP4}",), makes="out.mp4"),
    Tried("stream", f"./pipelines/devenv.sh {HLS}", (f"pipelines/devenv.sh {HLS}",), makes="index.m3u8"),
    Tried("stream", f"{RTMP_SERVER} sleep 1; timeout --foreground -s INT 20 ./pipelines/devenv.sh {RTMP}; {COUNT} got.flv".replace(
          "127.0.0.1/live", "127.0.0.1:19351/live"), (f"pipelines/devenv.sh {RTMP}",),
          shows=r"nb_read_frames=[1-9]\d+"),
    Tried("stream", f"{SRT_SERVER} sleep 1; timeout --foreground -s INT 20 ./pipelines/devenv.sh {SRT}; {COUNT} got.ts".replace(":7001", ":17001"),
          (f"pipelines/devenv.sh {SRT}",), shows=r"nb_read_frames=[1-9]\d+"),
    Tried("stream", f"timeout --foreground -s INT 20 ./pipelines/devenv.sh {WINDOW}; echo ended".replace("autovideosink", "fakevideosink"),
          (f"pipelines/devenv.sh {WINDOW}",), shows=r"EOS received - stopping pipeline[^$]*ended"),
    Tried("stream", f"timeout --foreground -s INT 20 ./pipelines/devenv.sh {PLAYBIN}; echo ended".replace("autovideosink", "fakevideosink"),
          (f"pipelines/devenv.sh {PLAYBIN}",), shows=r"EOS received - stopping pipeline[^$]*ended"),

    Tried("benchmark", "./pipelines/benchmark.sh --frames 5 --steps 2 --repeat 1 --dtype float32 --json out.json",
          ("pipelines/benchmark.sh", "pipelines/benchmark.sh [--json FILE] [--peer CMD] [--help for the rest]"),
          shows="transformer", makes="out.json"),
    Tried("benchmark", "./pipelines/benchmark.sh --help", ("tools/bench/benchmark.py",), shows="--no-element"),
    Tried("caches", "./pipelines/benchmark.sh --caches --quick --steps 4 --width 32 --height 32 --frames 21 "
          "--base-num-frames 33 --long-frames 0 --no-sparse --json out.json --pictures pictures",
          ("pipelines/benchmark.sh --caches", "pipelines/benchmark.sh --caches --quick",
           "pipelines/benchmark.sh --caches [--json FILE] "
           "[--pictures FOLDER] [--peer CMD] [--quick] [--help for the rest]"), makes="out.json"),

    Tried("caches", "./pipelines/benchmark.sh --family magi1 --caches --quick --width 32 --height 32 --frames 48 --no-sparse --json out.json",
          ("pipelines/benchmark.sh --family",), shows="MotionCache", makes="out.json"),
    Tried("caches", "./pipelines/benchmark.sh --presets --quick --steps 4 --width 32 --height 32 --frames 21 --json rows.json",
          ("pipelines/benchmark.sh --presets",
           "pipelines/benchmark.sh --presets [--json FILE] [--quick] [--help for the rest]"),
          shows="of 4 rows keep the promise", makes="rows.json"),
    Tried("caches", "./pipelines/benchmark.sh --tokens --quick --steps 6 --width 32 --height 32 --frames 21 --json out.json",
          ("pipelines/benchmark.sh --tokens",
           "pipelines/benchmark.sh --tokens [--json FILE] [--quick] [--help for the rest]",
           "tools/bench/tokens.py"), shows="prompts won", makes="out.json"),
    Tried("benchmark", "./pipelines/benchmark.sh --beside --frames 9 --steps 2 --rounds 1 --json beside.json",
          ("pipelines/benchmark.sh --beside", "pipelines/benchmark.sh --beside [--json FILE] [--help for the rest]",
           "tools/bench/beside.py"), shows="beside one busy process", makes="beside.json"),
    Tried("caches", "./pipelines/benchmark.sh --live --frames 96 --steps 2 --busy 1 --quick --json live.json",
          ("pipelines/benchmark.sh --live",
           "pipelines/benchmark.sh --live [--json FILE] [--quick] [--help for the rest]",
           "tools/bench/live.py"), shows="underruns by quarter", makes="live.json"),
    Tried("caches", "./pipelines/benchmark.sh --long --frames 96 --steps 1 --json long.json",
          ("pipelines/benchmark.sh --long", "pipelines/benchmark.sh --long [--json FILE] [--help for the rest]",
           "tools/bench/long.py"), shows="MiB at its end", makes="long.json"),
    Tried("caches", "./tools/demo/take-in.sh --help",
          ("tools/demo/take-in.sh", "tools/demo/take_in.py",
           "tools/demo/take-in.sh FOLDER [--quick] [--from STAGE | --only STAGE] "
           "[--no-peer | --peer-python PYTHON] [--help]"), shows="output of the training"),

    Tried("golden", "./tests/golden.sh tests/golden/data",
          ("tests/golden.sh tests/golden/data", "tests/golden.sh FOLDER...", "tests/golden.sh [OPTION...] FOLDER..."),
          shows=r"golden: \d\d+ passed, 0 failed"),
    Tried("golden", "./tests/golden.sh --help", ("tests/golden.sh",), shows="--precision"),
    Tried("golden", "./tests/gpu.sh --help", ("tests/gpu.sh", "tests/gpu.sh --help"), shows="pack"),
    Tried("golden elsewhere",
          "BUILD=there TORCH_DIR=$(tools/torch/find.sh) ./tests/golden.sh --case unit_tokenizer tests/golden/data",
          ("TORCH_DIR=FOLDER", "BUILD=FOLDER", "tools/torch/find.sh"), shows=r"golden: \d+ passed, 0 failed"),

    Tried("tests", "./tests/run.sh tokenizer",
          ("tests/run.sh --suite unit", "tests/run.sh --suite", "tests/run.sh tokenizer", "tests/run.sh NAME..."),
          shows=PASSED),
    Tried("tests", "./tests/run.sh architecture", ("tests/architecture/architecture_test.py SOURCE_ROOT",
          "tests/architecture/architecture_test.py"), shows=PASSED),
    Tried("tests", "./tests/run.sh 'table of fields'", ("tests/request/generate_test.py SOURCE_ROOT",
          "tests/request/generate_test.py"), shows=PASSED),
    Tried("tests", "engine/request/generate.py readme engine/request/fields.toml README.md --write && git diff --exit-code README.md; "
          "echo written", ("engine/request/generate.py",
                           "engine/request/generate.py readme engine/request/fields.toml README.md --write"),
          shows="written"),
    # The recipes of CONTRIBUTING.md, before anything is added.
    Tried("tests", "./tests/run.sh fields 'table of fields' 'session family' element-request",
          ("tests/run.sh fields 'table of fields' 'session family' element-request",), shows=PASSED),
    Tried("tests", "./tests/run.sh kernels-norms", ("tests/run.sh kernels-norms",), shows=PASSED),
    Tried("tests", "./build-tests/tests/kernels/test-kernels-norms gelu",
          ("build-tests/tests/kernels/test-kernels-norms gelu",),
          shows=r"cases: 1 passed, 0 failed[^$]*gelu 540x192 float32"),
    Tried("tests", "./tests/run.sh cache 'cache choice' fields", ("tests/run.sh cache 'cache choice' fields",),
          shows=PASSED),
    Tried("tests", "./tests/run.sh architecture 'table of fields' fields 'session family' model",
          ("tests/run.sh architecture 'table of fields' fields 'session family' model",),
          shows=PASSED),
    Tried("tests", "./tests/run.sh bench-report", ("tests/bench/report.py SESSION_BENCH MODEL",), shows=PASSED),
    Tried("element tests", "./tests/run.sh element-launch-file", ("tests/element/launch.sh MODE",), shows=PASSED),
    Tried("element tests", "./tests/run.sh element-valgrind-storm",
          ("tests/element/valgrind.sh TEST SUPPRESSIONS [CASE]",
          "tests/element/valgrind.sh"), shows=PASSED),
    Tried("element tests", "./tests/run.sh install", ("tests/install/install.sh BUILD PREFIX",), shows=PASSED),
    Tried("sanitize", "./tests/sanitize.sh quality",
          ("tests/sanitize.sh", "tests/sanitize.sh --suite"), shows=PASSED),
    Tried("fuzz", "./tests/run.sh fuzz-config", ("tests/fuzz/run.sh FUZZER CORPUS [LIBFUZZER_OPTION...]",),
          shows=PASSED),
    Tried("fuzz", "./tests/fuzz/coverage.sh",
          ("tests/fuzz/coverage.sh [EXECUTIONS, default 20000]", "tests/fuzz/coverage.sh"), shows="TOTAL"),

    Tried("tools", "./debian/build.sh --help", ("debian/build.sh",), shows="build-debian"),
    Tried("tests", "./tests/run.sh packages",
          ("tests/packages/packages_test.py", "tests/packages/packages_test.py SOURCE_ROOT BUILD"),
          shows=PASSED),
    Tried("tools", "./tools/torch/fetch.sh", ("tools/torch/fetch.sh",), shows="LibTorch .* is in /"),
    Tried("tools", "python3 tools/text/html_entities.py > engine/text/html_entities.inc",
          ("python3 tools/text/html_entities.py",
          "tools/text/html_entities.py"), makes="engine/text/html_entities.inc"),
]

NOT_TRIED = [
    NotTried("needs PyTorch, which no test may; what it writes is in the tree",
             ("tests/model/make_torch_files.py",)),
    NotTried("runs this test, in CI's clean clone", ("tests/run.sh",)),
    NotTried("needs a virtual camera, which no container has; tests/pipelines/files_test.py tries the rest of it",
             ("pipelines/stream.sh v4l2 /dev/video0", f"pipelines/devenv.sh {CAMERA}")),
    NotTried("fetches 2 GB, for GPUs", ("tools/torch/fetch.sh --cuda",)),
    NotTried("says how GPUs exchange rows; tests/fake/ranks_test sets the first", ("MOTIONCACHE_NCCL=off", "NCCL_DEBUG=INFO")),
    NotTried("fetches the wheel of a torch for GPUs, or needs a GPU", (
        "tests/gpu.sh pack", "tests/gpu.sh run", "tests/gpu/backends.py", "tests/gpu/backends.py [SECONDS]",
        "tests/gpu/goals.py",
        "tests/gpu/goals.py FOLDER", "tests/gpu/encode.sh", "tests/gpu/encode.sh DEVICE MODEL")),
    NotTried("is run by debian/build.sh, which builds everything once more and packs half a GB; tests/packages tries what "
             "debian/ says", ("debian/rules", "debian/libtorch.sh", "debian/libtorch.sh TORCH_DIR FOLDER")),
    NotTried("needs torchrun, a program of Python's torch; the same two processes are tried without", (
        "torchrun --no-python --nproc-per-node 2 sh -c '[ $RANK = 0 ] || exec motioncache-worker; exec gst-launch-1.0 motioncachegen prompt=\"a red ball\" ! "
        "autovideosink'",)),
    NotTried("installs packages",
             ("apt-get update", "apt-get install", "apt-get install -y --no-install-recommends", "sudo sh -c",
              "su -c")),
    NotTried("needs packages of Python that it fetches",
             ("python3 -m", "tests/quality/record_ssim.py", "tests/text/refresh_cleaning_pairs.py",
              "tests/text/refresh_caption_pairs.py")),
    NotTried("needs Diffusers, some GB of packages of Python", ("tools/bench/peer_diffusers.py",
             "tools/bench/peer_diffusers.py models/demo", "pipelines/benchmark.sh --caches --peer")),
    NotTried("needs another training of the model, and measures for half an hour", ("tools/demo/take-in.sh FOLDER",)),
    NotTried("is what tests/run.sh does with its arguments", ("meson test",)),
    NotTried("pipelines/benchmark.sh, which is tried, starts it", (
        "tools/bench/caches.py", "tools/bench/presets.py", "tools/bench/magi1.py", "motioncache-session-bench",
        "motioncache-element-bench", "motioncache-cache-bench",
        "motioncache-sparse-bench", "motioncache-magi1-bench --run NAME", "motioncache-token-bench",
        "motioncache-cache-bench --dump",
        "motioncache-token-bench MODEL --prompts FILE [--steps N] [--frames N] [--width N] [--height N] [--seed N]",
        "motioncache-cache-bench MODEL --prompts FILE --run NAME",
        "motioncache-element-bench [--encode | --stream] PROPERTIES...", "motioncache-sparse-bench MODEL",
        "motioncache-session-bench MODEL [--dtype float32|bfloat16] [--threads N] [--prompt TEXT] [--frames N]")),
    NotTried("is a test that tests/run.sh starts, and asks git, which knows nothing of these clones",
             ("python3 tests/commands/commands.py list .", "python3 tests/docs/citations.py .")),
    NotTried("is a test that tests/run.sh starts", ("tests/bench/caches_quick.py BUILD MODEL", "tests/bench/caches_test.py", "tests/bench/magi1_quick.py BUILD RANDOM_WEIGHTS", "tests/bench/presets_quick.py BUILD MODEL", "tests/bench/presets_test.py",
                                                   "tests/bench/tokens_test.py", "tests/bench/tokens_test.py BUILD MODEL", "tests/bench/live_test.py", "tests/bench/live_test.py BUILD MODEL",
                                                   "tests/docs/citations_test.py", "tests/docs/figures_test.py", "tests/gpu/script_test.py", "tests/gpu/script_test.py SOURCE [GPU_KERNELS]",
                                                   "tests/docs/take_in_test.py", "tests/quality/pictures_test.py", "tests/summary.py", "tests/element/python.py", "tests/element/live_demo.py", "tests/pipelines/files_test.py", "tests/pipelines/rtmp_test.py",
                                                   "tests/pipelines/soak_test.py", "tests/pipelines/srt_test.py", "tests/pipelines/live_test.py", "tests/pipelines/live_demo_test.py", "tests/pipelines/examples.sh",
                                                   "tests/pipelines/examples.sh FRAMES ENGINE MODEL PROMPTS")),
]
