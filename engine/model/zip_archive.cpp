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
constexpr uint16_t ENCRYPTED = 1, STORED = 0;

class Reader {
  public:
    Reader(const std::byte* data, size_t size, const std::string& file)
        : data_(data), size_(size), file_(file) {}

    std::map<std::string, ZipEntry> read() {
        Directory directory = find_directory();
        uint64_t at = directory.begin;
        for (uint64_t i = 0; i < directory.entries; i++) at = read_entry(at, directory);
        if (at != directory.end) throw damaged("its directory does not end where it says");
        refuse_overlaps();
        return std::move(entries_);
    }

  private:
    const std::byte* data_;
    size_t size_;
    const std::string& file_;
    std::map<std::string, ZipEntry> entries_;
    struct Extent {
        uint64_t begin, end;
    };
    std::vector<Extent> extents_;

    struct Directory {
        uint64_t entries, begin, end;
    };

    Error damaged(const std::string& what) const {
        return read_error(file_, "is a damaged zip archive: " + what);
    }
    bool inside(uint64_t begin, uint64_t bytes, uint64_t limit) const {
        return begin <= limit && bytes <= limit - begin;
    }

    // The end record is followed only by its comment, so it is looked for from the back.
    uint64_t find_end() const {
        for (uint64_t comment = 0; comment <= 0xffff && comment + END_SIZE <= size_; comment++) {
            uint64_t at = size_ - END_SIZE - comment;
            if (read_u32(data_ + at) == END && read_u16(data_ + at + 20) == comment) return at;
        }
        throw damaged("its end is missing, the file was probably cut off");
    }

    Directory find_directory() const {
        uint64_t end = find_end();
        uint64_t entries = read_u16(data_ + end + 10), bytes = read_u32(data_ + end + 12),
                 begin = read_u32(data_ + end + 16);
        uint16_t disk = read_u16(data_ + end + 4);
        if (entries == 0xffff || bytes == IN_ZIP64 || begin == IN_ZIP64 || disk == 0xffff) {
            if (end < LOCATOR64_SIZE || read_u32(data_ + end - LOCATOR64_SIZE) != LOCATOR64)
                throw damaged("it needs a zip64 end record and has none");
            uint64_t end64 = read_u64(data_ + end - LOCATOR64_SIZE + 8);
            if (!inside(end64, END64_SIZE, end - LOCATOR64_SIZE) || read_u32(data_ + end64) != END64)
                throw damaged("its zip64 end record is not where it should be");
            end = end64;
            entries = read_u64(data_ + end + 32), bytes = read_u64(data_ + end + 40),
            begin = read_u64(data_ + end + 48);
            disk = uint16_t(read_u32(data_ + end + 16));
        }
        if (disk != 0) throw damaged("it is one part of several");
        if (!inside(begin, bytes, end)) throw damaged("its directory lies outside the file");
        if (entries > bytes / CENTRAL_SIZE) throw damaged("its directory is too short for its entries");
        return {entries, begin, begin + bytes};
    }

    struct Sizes {
        uint64_t stored, plain, local;
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

    uint64_t read_entry(uint64_t at, const Directory& directory) {
        if (!inside(at, CENTRAL_SIZE, directory.end) || read_u32(data_ + at) != CENTRAL)
            throw damaged("an entry of its directory is not where it should be");
        const std::byte* record = data_ + at;
        size_t name_bytes = read_u16(record + 28), extra_bytes = read_u16(record + 30),
               comment_bytes = read_u16(record + 32);
        uint64_t record_bytes = CENTRAL_SIZE + name_bytes + extra_bytes + comment_bytes;
        if (!inside(at, record_bytes, directory.end)) throw damaged("an entry of its directory is cut off");
        std::string name(reinterpret_cast<const char*>(record + CENTRAL_SIZE), name_bytes);
        if (read_u16(record + 8) & ENCRYPTED) throw damaged("entry " + in_quotes(name) + " is encrypted");
        Sizes sizes = read_sizes(record, record + CENTRAL_SIZE + name_bytes, extra_bytes, name);
        if (read_u16(record + 10) != STORED || sizes.stored != sizes.plain)
            throw read_error(file_,
                             "entry " + in_quotes(name) +
                                 " of this zip archive is compressed, which torch.save never does",
                             "save the weights again with torch.save, or download the original file");
        add(name, sizes, directory);
        return at + record_bytes;
    }

    void add(const std::string& name, const Sizes& sizes, const Directory& directory) {
        if (!inside(sizes.local, LOCAL_SIZE, directory.begin) || read_u32(data_ + sizes.local) != LOCAL)
            throw damaged("entry " + in_quotes(name) + " is not where the directory says");
        const std::byte* local = data_ + sizes.local;
        size_t name_bytes = read_u16(local + 26), extra_bytes = read_u16(local + 28);
        uint64_t begin = sizes.local + LOCAL_SIZE + name_bytes + extra_bytes;
        if (!inside(begin, sizes.stored, directory.begin))
            throw damaged("entry " + in_quotes(name) + " lies outside the file");
        if (std::string_view(reinterpret_cast<const char*>(local + LOCAL_SIZE), name_bytes) != name)
            throw damaged("entry " + in_quotes(name) + " has another name in its own header");
        if (!entries_.emplace(name, ZipEntry{data_ + begin, size_t(sizes.stored)}).second)
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

std::map<std::string, ZipEntry> parse_zip(const std::byte* data, size_t size, const std::string& file) {
    return Reader(data, size, file).read();
}

} // namespace mc::model
