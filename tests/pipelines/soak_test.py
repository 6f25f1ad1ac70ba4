# SPDX-License-Identifier: LGPL-2.1-or-later
"""soak.sh behind its setup: a short night with every fault, Ctrl-C, and that it would notice what it looks for."""
import pathlib
import re
import signal
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from servers import Nginx
from stream import ROOT, main, missing_elements

SOAK = ROOT / "pipelines" / "soak"
sys.path.insert(0, str(SOAK))
from health import Health, slope
from ledger import Ledger
from recordings import Recordings, stamp_of


def soak(*words):
    return subprocess.Popen([sys.executable, str(SOAK / "main.py"), *words], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def rows(text):
    return dict(re.split(r"\s{2,}", line, maxsplit=1) for line in text.splitlines() if "  " in line)


def number(text):
    return int(re.match(r"\d+", text).group())


def test_a_short_night_with_every_fault(_):
    process = soak("0.005", "--every", "1")
    text, said = process.communicate(timeout=600)
    assert process.returncode == 0, text + said
    assert text.endswith("Nothing grew, and nothing was lost without a cause.\n"), text
    assert "Traceback" not in said and "CRITICAL" not in said, said
    table = rows(text)
    for kind in ("server restarts", "property storms", "flushes", "clock jumps", "pauses"):
        assert re.search(rf"[1-9]\d* {kind}", table["faults"]), text
    made, coded, recorded = (number(table["frames " + name]) for name in ("made", "coded", "recorded"))
    assert made >= coded >= recorded > 100, text
    element = number(table["frames from the element"])
    assert element == coded + number(table["lost to flushes"]), text
    assert number(table["reconnects"]) >= 1, text
    assert "recorded" in said, "no line of progress"


def test_ctrl_c_ends_with_the_table(folder):
    process = soak("1", "--every", "1", "--pace", "20")
    begun = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    text, said = process.communicate(timeout=600)
    assert process.returncode == 0, begun + text + said
    assert "frames made" in text, text


def test_bad_words_are_refused(_):
    for words in ((), ("0",), ("nan",), ("a night",), ("1", "--size", "10x10"), ("1", "--faults", "fire")):
        process = soak(*words)
        text, said = process.communicate(timeout=60)
        assert process.returncode == 2 and "error:" in said and "Traceback" not in said, (words, said)


def ledger_of(numbers, flushed_after=()):
    """Frames that leave the element, one a second."""
    ledger = Ledger()
    for n in numbers:
        ledger.frame(n, n * 10**9, 10**9, False)
        if n in flushed_after:
            ledger.flush()
            ledger.flush()
    return ledger


def test_frames_that_are_lost_are_found(_):
    ledger = ledger_of([0, 1, 3])
    assert ledger.skipped == 1 and "frame 3 left" in ledger.notes[0]

    ledger = ledger_of(range(5), flushed_after=[2])
    for n in (0, 1, 3, 4):  # 2 was taken by the flush
        ledger.tag(n * 10**9, n * 1000)
    assert (ledger.flushed, ledger.vanished) == (1, 0)

    ledger = ledger_of(range(5), flushed_after=[2])
    for n in (0, 2, 3, 4):  # 1 was not: 2 came after it
        ledger.tag(n * 10**9, n * 1000)
    assert (ledger.flushed, ledger.vanished) == (0, 1)

    for n in (0, 2, 2, 4):
        ledger.record(n * 1000)
    ledger.record(9000)
    ledger.close()
    assert (ledger.recorded, ledger.again, ledger.unknown, list(ledger.sent)) == (3, 1, 1, [3000])


def test_growth_is_found(_):
    assert abs(slope([(x, 5 + 0.5 * x) for x in range(10)]) - 0.5) < 1e-9
    health = Health(3600)
    health.samples = [(t, 50 + t / 60, 9 + t // 600, 20) for t in range(0, 3600, 10)]
    assert abs(health.memory_slope() - 60) < 0.01 and 50 < health.memory_growth() < 60
    assert health.ends(2) == (9, 13) and health.ends(3) == (20, 20)


def test_recordings_are_read_as_they_grow(folder):
    def tag(kind, body, stamp):
        size, low = len(body).to_bytes(3, "big"), (stamp & 0xffffff).to_bytes(3, "big")
        head = bytes([kind]) + size + low + bytes([stamp >> 24, 0, 0, 0])
        return head + body + (11 + len(body)).to_bytes(4, "big")
    file = folder / "a.flv"
    seen = []
    recordings = Recordings(lambda: sorted(folder.glob("*.flv")), seen.append)
    late = 0x1234567  # milliseconds that take more than 24 bits
    data = bytes(13) + tag(9, b"\x17\x00head", 0) + tag(9, b"\x17\x01key", 0) + tag(8, b"sound", 5)
    data += tag(9, b"\x27\x01", late)
    assert stamp_of(tag(9, b"\x27\x01", late)) == late
    for end in range(13, len(data) + 1):
        file.write_bytes(data[:end])
        recordings.look()
    assert seen == [0, late]
    (folder / "b.flv").write_bytes(bytes(13))
    recordings.look()
    assert not file.exists() and seen == [0, late]


main([value for name, value in list(globals().items()) if name.startswith("test_")], Nginx.missing(),
     missing_elements("x264enc", "flvmux", "rtmp2sink"))
