# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads a server's FLV recordings while they are written, and deletes what has been read."""
HEADER, TAG = 13, 11  # bytes: of the file with the first previous size; of a tag
VIDEO, CODED = 9, 1


def stamp_of(tag):
    """Milliseconds of a tag that carries a coded picture, else None."""
    if len(tag) < TAG + 2 or tag[0] & 31 != VIDEO or tag[TAG] & 15 != 7 or tag[TAG + 1] != CODED:
        return None
    return int.from_bytes(tag[4:7], "big") | tag[7] << 24


class Recordings:
    def __init__(self, list_files, found):
        self.list_files, self.found = list_files, found
        self.read = {}  # file -> bytes that are done
        self.bytes = self.files = 0

    def look(self):
        files = self.list_files()
        for file in files:
            if file not in self.read:
                self.files += 1
                self.read[file] = HEADER
            self._read(file)
        for file in files[:-1]:  # the server has begun another one
            self._read(file)
            file.unlink()
            del self.read[file]

    def _read(self, file):
        with open(file, "rb") as opened:
            opened.seek(self.read[file])
            data = opened.read()
        at = 0
        while at + TAG <= len(data):
            size = TAG + int.from_bytes(data[at + 1:at + 4], "big") + 4
            if at + size > len(data):
                break
            stamp = stamp_of(data[at:at + TAG + 2])
            if stamp is not None:
                self.found(stamp)
            at += size
        self.read[file] += at
        self.bytes += at
