# SPDX-License-Identifier: LGPL-2.1-or-later
"""summary.py TESTLOG.json: meson's own results in one line, cases counted where a test program counts its cases.

Prints why something was skipped and which programs failed, then `N passed, N failed[, N skipped]`. Ends with 1 when
something failed or nothing ran.
"""
import json
import re
import sys

passed = failed = skipped = 0
for line in open(sys.argv[1]):
    test = json.loads(line)
    output = test.get("stdout") or ""
    cases = re.findall(r"^cases: (\d+) passed, (\d+) failed, (\d+) skipped$", output, re.M)
    checks = re.findall(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)$", output, re.M)
    ok, bad, left_out = 0, 0, 0
    for p, f, s in cases:
        ok, bad, left_out = ok + int(p), bad + int(f), left_out + int(s)
    for n, f, e in checks:
        ok, bad = ok + int(n) - int(f) - int(e), bad + int(f) + int(e)
    for reason in re.findall(r"^skip (.*)$", output, re.M):
        print(f"skipped in {test['name']}: {reason}")
    if test["result"] == "SKIP":
        print(f"skipped: {test['name']}: {output.strip().splitlines()[-1] if output.strip() else 'no reason given'}")
        skipped += 1
        continue
    if test["result"] != "OK":
        print(f"failed: {test['name']} ({test['result']})")
        bad = max(bad, 1)  # a crash or a time-out is a failure, whatever had passed until then
    elif not ok + bad + left_out:
        ok = 1
    passed, failed, skipped = passed + ok, failed + bad, skipped + left_out
print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
sys.exit(1 if failed or not passed else 0)
