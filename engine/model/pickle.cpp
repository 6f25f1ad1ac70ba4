#include "engine/model/pickle.h"

#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "engine/model/little_endian.h"
#include "engine/model/read_error.h"

namespace mc::model {

namespace {

// 34000 tensors' worth; the biggest published file has 0.15 MiB.
constexpr size_t SIZE_LIMIT = 4 << 20;
constexpr size_t RANK_LIMIT = 8;

// What pickletools calls them.
enum Op : uint8_t {
    MARK = '(',
    STOP = '.',
    BININT = 'J',
    BININT1 = 'K',
    BININT2 = 'M',
    LONG1 = 0x8a,
    NONE = 'N',
    NEWTRUE = 0x88,
    NEWFALSE = 0x89,
    BINUNICODE = 'X',
    EMPTY_TUPLE = ')',
    TUPLE = 't',
    TUPLE1 = 0x85,
    TUPLE2 = 0x86,
    TUPLE3 = 0x87,
    EMPTY_DICT = '}',
    SETITEM = 's',
    SETITEMS = 'u',
    GLOBAL = 'c',
    REDUCE = 'R',
    BUILD = 'b',
    BINPERSID = 'Q',
    BINPUT = 'q',
    LONG_BINPUT = 'r',
    BINGET = 'h',
    LONG_BINGET = 'j',
    PROTO = 0x80,
};

using Id = uint32_t; // of a value; values never move and are never freed, so aliases are plain numbers

enum class Kind : uint8_t {
    NOTHING,
    BOOLEAN,
    INTEGER,
    TEXT,
    TUPLE,
    DICTIONARY,
    ORDERED_DICT,
    REBUILD_TENSOR,
    STORAGE_TYPE,
    STORAGE,
    TENSOR
};

struct Value {
    Kind kind;
    DType dtype; // STORAGE_TYPE
    uint32_t
        first; // TEXT: position in the file; TUPLE: in items_; DICTIONARY, STORAGE, TENSOR: in their lists
    int64_t number; // INTEGER, BOOLEAN; TEXT, TUPLE: length
};

struct Storage {
    DType dtype;
    Id key;
    int64_t elements;
};
struct Tensor {
    uint32_t storage;
    int64_t offset;
    std::vector<int64_t> shape, stride;
};

struct StorageType {
    const char* name;
    DType dtype;
};
constexpr StorageType STORAGE_TYPES[] = {
    {"FloatStorage", DType::F32},  {"HalfStorage", DType::F16}, {"BFloat16Storage", DType::BF16},
    {"DoubleStorage", DType::F64}, {"LongStorage", DType::I64}, {"IntStorage", DType::I32},
    {"ShortStorage", DType::I16},  {"CharStorage", DType::I8},  {"ByteStorage", DType::U8},
    {"BoolStorage", DType::BOOL},
};

class Machine {
  public:
    Machine(const std::byte* data, size_t size, const std::string& file)
        : data_(data), size_(size), file_(file) {}

    std::vector<PickledTensor> run() {
        while (step(Op(take(1)[0]))) {
        }
        Id root = pop();
        if (!stack_.empty() || !marks_.empty()) throw malformed("it ends in the middle of something");
        return tensors_of(root);
    }

  private:
    const std::byte* data_;
    size_t size_;
    const std::string& file_;
    size_t at_ = 0;
    std::vector<Value> values_;
    std::vector<Id> stack_, items_;
    std::vector<size_t> marks_; // heights of the stack
    std::unordered_map<uint32_t, Id> memo_;
    std::vector<std::vector<std::pair<Id, Id>>> dictionaries_;
    std::vector<Storage> storages_;
    std::vector<Tensor> tensors_;

    Error malformed(const std::string& what) const {
        return read_error(
            file_, "its pickle is damaged or is not a dictionary of tensors saved by torch.save: " + what +
                       " (at byte " + std::to_string(at_) + ")");
    }

    const std::byte* take(size_t bytes) {
        if (bytes > size_ - at_) throw malformed("it is cut off");
        const std::byte* from = data_ + at_;
        at_ += bytes;
        return from;
    }
    std::string_view take_line() {
        const char* from = reinterpret_cast<const char*>(data_ + at_);
        std::string_view rest(from, size_ - at_);
        size_t length = rest.find('\n');
        if (length == std::string_view::npos) throw malformed("it is cut off");
        at_ += length + 1;
        return rest.substr(0, length);
    }

    void push(Id id) { stack_.push_back(id); }
    Id make(Value value) {
        values_.push_back(value);
        return Id(values_.size() - 1);
    }
    Id pop() {
        if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) throw malformed("a value is missing");
        Id id = stack_.back();
        stack_.pop_back();
        return id;
    }
    Id top() const {
        if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) throw malformed("a value is missing");
        return stack_.back();
    }
    std::vector<Id> pop_mark() {
        if (marks_.empty()) throw malformed("a mark is missing");
        std::vector<Id> ids(stack_.begin() + ptrdiff_t(marks_.back()), stack_.end());
        stack_.resize(marks_.back());
        marks_.pop_back();
        return ids;
    }

    void push_integer(int64_t value) { push(make({Kind::INTEGER, {}, 0, value})); }
    void push_tuple(const std::vector<Id>& ids) {
        Id id = make({Kind::TUPLE, {}, uint32_t(items_.size()), int64_t(ids.size())});
        items_.insert(items_.end(), ids.begin(), ids.end());
        push(id);
    }
    void push_short_tuple(size_t length) {
        std::vector<Id> ids(length);
        while (length--) ids[length] = pop();
        push_tuple(ids);
    }
    void push_dictionary() {
        dictionaries_.emplace_back();
        push(make({Kind::DICTIONARY, {}, uint32_t(dictionaries_.size() - 1), 0}));
    }

    bool is(Id id, Kind kind) const { return values_[id].kind == kind; }
    std::string_view text(Id id, const char* what) const {
        if (!is(id, Kind::TEXT)) throw malformed(std::string(what) + " is not a string");
        return {reinterpret_cast<const char*>(data_ + values_[id].first), size_t(values_[id].number)};
    }
    int64_t integer(Id id, const char* what) const {
        if (!is(id, Kind::INTEGER) || values_[id].number < 0)
            throw malformed(std::string(what) + " is not a number of 0 or more");
        return values_[id].number;
    }
    std::pair<const Id*, size_t> tuple(Id id, const char* what) const {
        if (!is(id, Kind::TUPLE)) throw malformed(std::string(what) + " is not a tuple");
        return {items_.data() + values_[id].first, size_t(values_[id].number)};
    }
    std::vector<int64_t> integers(Id id, const char* what) const {
        auto [ids, count] = tuple(id, what);
        if (count > RANK_LIMIT) throw malformed(std::string(what) + " has too many sides");
        std::vector<int64_t> numbers;
        for (size_t i = 0; i < count; i++) numbers.push_back(integer(ids[i], what));
        return numbers;
    }

    // False after STOP.
    bool step(Op op) {
        switch (op) {
        case PROTO:
            if (uint8_t version = uint8_t(*take(1)); version != 2)
                throw read_error(file_, "its pickle is of protocol " + std::to_string(version) + ", not 2",
                                 "save the weights again with torch.save at its default protocol");
            return true;
        case STOP:
            return false;
        case MARK:
            marks_.push_back(stack_.size());
            return true;
        case NONE:
            push(make({Kind::NOTHING, {}, 0, 0}));
            return true;
        case NEWTRUE:
            push(make({Kind::BOOLEAN, {}, 0, 1}));
            return true;
        case NEWFALSE:
            push(make({Kind::BOOLEAN, {}, 0, 0}));
            return true;
        case BININT:
            push_integer(read_number<int32_t>(take(4)));
            return true;
        case BININT1:
            push_integer(uint8_t(*take(1)));
            return true;
        case BININT2:
            push_integer(read_u16(take(2)));
            return true;
        case LONG1:
            push_integer(take_long());
            return true;
        case BINUNICODE: {
            uint32_t length = read_u32(take(4));
            uint32_t first = uint32_t(at_);
            take(length);
            push(make({Kind::TEXT, {}, first, length}));
            return true;
        }
        case EMPTY_TUPLE:
            push_tuple({});
            return true;
        case TUPLE:
            push_tuple(pop_mark());
            return true;
        case TUPLE1:
            push_short_tuple(1);
            return true;
        case TUPLE2:
            push_short_tuple(2);
            return true;
        case TUPLE3:
            push_short_tuple(3);
            return true;
        case EMPTY_DICT:
            push_dictionary();
            return true;
        case SETITEM: {
            Id value = pop(), key = pop();
            set_items({key, value});
            return true;
        }
        case SETITEMS:
            set_items(pop_mark());
            return true;
        case GLOBAL:
            push_global();
            return true;
        case REDUCE:
            reduce();
            return true;
        case BUILD:
            // A module's state_dict carries its versions ("_metadata") as the state of the dictionary.
            if (!is(pop(), Kind::DICTIONARY) || !is(top(), Kind::DICTIONARY))
                throw malformed("a state belongs to no dictionary");
            return true;
        case BINPERSID:
            push_storage();
            return true;
        case BINPUT:
            memo_[uint8_t(*take(1))] = top();
            return true;
        case LONG_BINPUT: {
            uint32_t slot = read_u32(take(4));
            memo_[slot] = top();
            return true;
        }
        case BINGET:
            push_memo(uint8_t(*take(1)));
            return true;
        case LONG_BINGET:
            push_memo(read_u32(take(4)));
            return true;
        }
        throw malformed("it has operation " + std::to_string(unsigned(op)) +
                        ", which torch.save never writes");
    }

    int64_t take_long() {
        size_t bytes = uint8_t(*take(1));
        if (bytes > 8) throw malformed("it has a number of more than 64 bits");
        const std::byte* from = take(bytes);
        uint64_t value = 0;
        for (size_t i = 0; i < bytes; i++) value |= uint64_t(from[i]) << (8 * i);
        if (bytes > 0 && bytes < 8 && (uint8_t(from[bytes - 1]) & 0x80)) value |= ~uint64_t(0) << (8 * bytes);
        return int64_t(value);
    }

    void push_memo(uint32_t slot) {
        auto found = memo_.find(slot);
        if (found == memo_.end()) throw malformed("it recalls a value that it never kept");
        push(found->second);
    }

    void set_items(const std::vector<Id>& ids) {
        Id into = top();
        if (!is(into, Kind::DICTIONARY) || ids.size() % 2)
            throw malformed("an item belongs to no dictionary");
        auto& dictionary = dictionaries_[values_[into].first];
        for (size_t i = 0; i < ids.size(); i += 2) dictionary.emplace_back(ids[i], ids[i + 1]);
    }

    void push_global() {
        std::string_view module = take_line(), name = take_line();
        if (module == "collections" && name == "OrderedDict")
            return push(make({Kind::ORDERED_DICT, {}, 0, 0}));
        if (module == "torch._utils" && name == "_rebuild_tensor_v2")
            return push(make({Kind::REBUILD_TENSOR, {}, 0, 0}));
        if (module == "torch")
            for (const StorageType& type : STORAGE_TYPES)
                if (name == type.name) return push(make({Kind::STORAGE_TYPE, type.dtype, 0, 0}));
        throw read_error(
            file_,
            "its pickle asks for " + in_quotes(std::string(module) + "." + std::string(name)) +
                ", which a dictionary of tensors does not need; nothing was executed",
            "use the weights as the publisher saved them (a plain state_dict), or as safetensors");
    }

    void reduce() {
        Id arguments = pop(), callable = pop();
        auto [ids, count] = tuple(arguments, "an argument list");
        if (is(callable, Kind::ORDERED_DICT)) {
            if (count != 0) throw malformed("a dictionary has arguments");
            return push_dictionary();
        }
        if (!is(callable, Kind::REBUILD_TENSOR)) throw malformed("it calls what cannot be called");
        if (count < 6 || count > 7 || !is(ids[0], Kind::STORAGE))
            throw malformed("a tensor has the wrong arguments");
        tensors_.push_back({values_[ids[0]].first, integer(ids[1], "a tensor's offset"),
                            integers(ids[2], "a tensor's shape"), integers(ids[3], "a tensor's stride")});
        push(make({Kind::TENSOR, {}, uint32_t(tensors_.size() - 1), 0}));
    }

    void push_storage() {
        auto [ids, count] = tuple(pop(), "a storage");
        if (count != 5 || text(ids[0], "a storage's kind") != "storage" || !is(ids[1], Kind::STORAGE_TYPE))
            throw malformed("a storage has the wrong parts");
        text(ids[2], "a storage's key");
        storages_.push_back({values_[ids[1]].dtype, ids[2], integer(ids[4], "a storage's size")});
        push(make({Kind::STORAGE, {}, uint32_t(storages_.size() - 1), 0}));
    }

    std::vector<PickledTensor> tensors_of(Id root) const {
        if (!is(root, Kind::DICTIONARY)) throw malformed("what it holds is not a dictionary");
        std::vector<PickledTensor> found;
        std::set<std::string_view> names;
        for (auto [key, value] : dictionaries_[values_[root].first]) {
            std::string_view name = text(key, "a tensor's name");
            if (!is(value, Kind::TENSOR))
                throw read_error(file_, "its entry " + in_quotes(name) + " is not a tensor",
                                 "save the state_dict itself, without anything around or beside it");
            if (!names.insert(name).second) throw malformed("tensor " + in_quotes(name) + " is there twice");
            const Tensor& tensor = tensors_[values_[value].first];
            const Storage& storage = storages_[tensor.storage];
            found.push_back({std::string(name), storage.dtype,
                             std::string(text(storage.key, "a storage's key")), storage.elements,
                             tensor.offset, tensor.shape, tensor.stride});
        }
        return found;
    }
};

} // namespace

std::vector<PickledTensor> read_pickled_tensors(const std::byte* data, size_t size, const std::string& file) {
    if (size > SIZE_LIMIT)
        throw read_error(file, "its pickle has " + std::to_string(size) +
                                   " bytes, more than a dictionary of tensors needs");
    return Machine(data, size, file).run();
}

} // namespace mc::model
