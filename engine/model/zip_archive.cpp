// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/model/zip_archive.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/model/little_endian.h"
#include "engine/model/read_error.h"

namespace mc::model {

namespace {

// Field offsets: the zip specification's sections on the local header, the central directory and its end.
constexpr uint32_t LOCAL = 0x04034b50, CENTRAL = 0x02014b50, END = 0x06054b50;
constexpr uint32_t END64 = 0x06064b50, LOCATOR64 = 0x07064b50;
constexpr size_t LOCAL_SIZE = 30, CENTRAL_SIZE = 46, END_SIZE = 22, END64_SIZE = 56, LOCATOR64_SIZE = 20;
constexpr uint16_t ZIP64_EXTRA = 1;
constexpr uint32_t IN_ZIP64 = 0xffffffff;
constexpr uint64_t DIRECTORY_LIMIT = 16 << 20; // of the biggest published file: 0.1 MiB
constexpr uint16_t ENCRYPTED = 1, STORED = 0;

class Reader {
  public:
    explicit Reader(const DataFile& file) : file_(file) {}

    std::map<std::string, ZipEntry> read() {
        Directory directory = find_directory();
        if (directory.end - directory.begin > DIRECTORY_LIMIT)
            throw damaged("its directory has more bytes than one of weights needs");
        records_ = file_.text(directory.begin, size_t(directory.end - directory.begin));
        size_t at = 0;
        for (uint64_t i = 0; i < directory.entries; i++) at = read_entry(at, directory);
        if (at != records_.size()) throw damaged("its directory does not end where it says");
        refuse_overlaps();
        return std::move(entries_);
    }

  private:
    const DataFile& file_;
    std::string records_; // the central directory
    std::map<std::string, ZipEntry> entries_;
    struct Extent {
        uint64_t begin, end;
    };
    std::vector<Extent> extents_;

    struct Directory {
        uint64_t entries, begin, end;
    };

    Error damaged(const std::string& what) const {
        return read_error(file_.path, "is a damaged zip archive: " + what);
    }
    bool inside(uint64_t begin, uint64_t bytes, uint64_t limit) const {
        return begin <= limit && bytes <= limit - begin;
    }

    static const std::byte* bytes_of(const std::string& text) {
        return reinterpret_cast<const std::byte*>(text.data());
    }

    // The end record is followed only by its comment, so it is looked for from the back.
    uint64_t find_end() const {
        const uint64_t most = std::min<uint64_t>(file_.size, END_SIZE + 0xffff), begin = file_.size - most;
        const std::string tail = file_.text(begin, size_t(most));
        for (uint64_t comment = 0; comment + END_SIZE <= most; comment++) {
            uint64_t at = most - END_SIZE - comment;
            const std::byte* record = bytes_of(tail) + at;
            if (read_u32(record) == END && read_u16(record + 20) == comment) return begin + at;
        }
        throw damaged("its end is missing, the file was probably cut off");
    }

    Directory find_directory() const {
        uint64_t end = find_end();
        const std::string record = file_.text(end, END_SIZE);
        const std::byte* field = bytes_of(record);
        uint64_t entries = read_u16(field + 10), bytes = read_u32(field + 12), begin = read_u32(field + 16);
        uint16_t disk = read_u16(field + 4);
        if (entries == 0xffff || bytes == IN_ZIP64 || begin == IN_ZIP64 || disk == 0xffff) {
            std::string locator;
            if (end >= LOCATOR64_SIZE) locator = file_.text(end - LOCATOR64_SIZE, LOCATOR64_SIZE);
            if (locator.empty() || read_u32(bytes_of(locator)) != LOCATOR64)
                throw damaged("it needs a zip64 end record and has none");
            uint64_t end64 = read_u64(bytes_of(locator) + 8);
            std::string record64;
            if (inside(end64, END64_SIZE, end - LOCATOR64_SIZE)) record64 = file_.text(end64, END64_SIZE);
            if (record64.empty() || read_u32(bytes_of(record64)) != END64)
                throw damaged("its zip64 end record is not where it should be");
            end = end64;
            const std::byte* field64 = bytes_of(record64);
            entries = read_u64(field64 + 32), bytes = read_u64(field64 + 40), begin = read_u64(field64 + 48);
            disk = uint16_t(read_u32(field64 + 16));
        }
        if (disk != 0) throw damaged("it is one part of several");
        if (!inside(begin, bytes, end)) throw damaged("its directory lies outside the file");
        if (entries > bytes / CENTRAL_SIZE) throw damaged("its directory is too short for its entries");
        return {entries, begin, begin + bytes};
    }

    struct Sizes {
        uint64_t stored, plain, local;
        bool compressed = false;
    };
    // Sizes that do not fit in 32 bits are kept in the zip64 extra field, only those, in this order.
    Sizes read_sizes(const std::byte* record, const std::byte* extra, size_t extra_bytes,
                     const std::string& name) const {
        Sizes sizes{read_u32(record + 20), read_u32(record + 24), read_u32(record + 42)};
        if (sizes.stored != IN_ZIP64 && sizes.plain != IN_ZIP64 && sizes.local != IN_ZIP64) return sizes;
        while (extra_bytes >= 4) {
            size_t bytes = read_u16(extra + 2);
            if (bytes > extra_bytes - 4) break;
            if (read_u16(extra) == ZIP64_EXTRA) {
                const std::byte* field = extra + 4;
                for (uint64_t* value : {&sizes.plain, &sizes.stored, &sizes.local}) {
                    if (*value != IN_ZIP64) continue;
                    if (bytes < 8)
                        throw damaged("entry " + in_quotes(name) + " has a zip64 field that is too short");
                    *value = read_u64(field);
                    field += 8, bytes -= 8;
                }
                return sizes;
            }
            extra += 4 + bytes, extra_bytes -= 4 + bytes;
        }
        throw damaged("entry " + in_quotes(name) + " lacks its zip64 field");
    }

    // `at`: in records_. The place of the next one.
    size_t read_entry(size_t at, const Directory& directory) {
        if (!inside(at, CENTRAL_SIZE, records_.size()) || read_u32(bytes_of(records_) + at) != CENTRAL)
            throw damaged("an entry of its directory is not where it should be");
        const std::byte* record = bytes_of(records_) + at;
        size_t name_bytes = read_u16(record + 28), extra_bytes = read_u16(record + 30),
               comment_bytes = read_u16(record + 32);
        size_t record_bytes = CENTRAL_SIZE + name_bytes + extra_bytes + comment_bytes;
        if (!inside(at, record_bytes, records_.size())) throw damaged("an entry of its directory is cut off");
        std::string name(reinterpret_cast<const char*>(record + CENTRAL_SIZE), name_bytes);
        if (read_u16(record + 8) & ENCRYPTED) throw damaged("entry " + in_quotes(name) + " is encrypted");
        Sizes sizes = read_sizes(record, record + CENTRAL_SIZE + name_bytes, extra_bytes, name);
        sizes.compressed = read_u16(record + 10) != STORED || sizes.stored != sizes.plain;
        add(name, sizes, directory);
        return at + record_bytes;
    }

    void add(const std::string& name, const Sizes& sizes, const Directory& directory) {
        std::string header;
        if (inside(sizes.local, LOCAL_SIZE, directory.begin))
            header = file_.text(sizes.local,
                                size_t(std::min(LOCAL_SIZE + name.size(), directory.begin - sizes.local)));
        if (header.empty() || read_u32(bytes_of(header)) != LOCAL)
            throw damaged("entry " + in_quotes(name) + " is not where the directory says");
        size_t name_bytes = read_u16(bytes_of(header) + 26), extra_bytes = read_u16(bytes_of(header) + 28);
        uint64_t begin = sizes.local + LOCAL_SIZE + name_bytes + extra_bytes;
        if (!inside(begin, sizes.stored, directory.begin))
            throw damaged("entry " + in_quotes(name) + " lies outside the file");
        if (name_bytes != name.size() || header.compare(LOCAL_SIZE, std::string::npos, name) != 0)
            throw damaged("entry " + in_quotes(name) + " has another name in its own header");
        if (!entries_.emplace(name, ZipEntry{begin, sizes.stored, sizes.compressed}).second)
            throw damaged("entry " + in_quotes(name) + " is there twice");
        extents_.push_back({sizes.local, begin + sizes.stored});
    }

    // Entries that share bytes let a small file pose as a big one.
    void refuse_overlaps() {
        std::sort(extents_.begin(), extents_.end(),
                  [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
        for (size_t i = 1; i < extents_.size(); i++)
            if (extents_[i].begin < extents_[i - 1].end) throw damaged("two of its entries overlap");
    }
};

} // namespace

std::map<std::string, ZipEntry> parse_zip(const DataFile& file) {
    return Reader(file).read();
}

} // namespace mc::model
