// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/model/pickle.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "engine/model/little_endian.h"
#include "engine/model/read_error.h"

namespace mc::model {

namespace {

constexpr size_t RANK_LIMIT = 8;
constexpr size_t KEY_LIMIT = 64; // torch.save writes numbers; every tensor of a storage has a copy

// What pickletools calls them.
enum Op : uint8_t {
    MARK = '(',
    STOP = '.',
    POP = '0',
    POP_MARK = '1',
    BININT = 'J',
    BININT1 = 'K',
    BININT2 = 'M',
    LONG1 = 0x8a,
    BINFLOAT = 'G',
    NONE = 'N',
    NEWTRUE = 0x88,
    NEWFALSE = 0x89,
    BINSTRING = 'T',
    SHORT_BINSTRING = 'U',
    BINUNICODE = 'X',
    SHORT_BINUNICODE = 0x8c,
    BINUNICODE8 = 0x8d,
    BINBYTES = 'B',
    SHORT_BINBYTES = 'C',
    BINBYTES8 = 0x8e,
    BYTEARRAY8 = 0x96,
    EMPTY_TUPLE = ')',
    TUPLE = 't',
    TUPLE1 = 0x85,
    TUPLE2 = 0x86,
    TUPLE3 = 0x87,
    EMPTY_LIST = ']',
    APPEND = 'a',
    APPENDS = 'e',
    EMPTY_SET = 0x8f,
    ADDITEMS = 0x90,
    FROZENSET = 0x91,
    EMPTY_DICT = '}',
    SETITEM = 's',
    SETITEMS = 'u',
    GLOBAL = 'c',
    STACK_GLOBAL = 0x93,
    REDUCE = 'R',
    NEWOBJ = 0x81,
    BUILD = 'b',
    BINPERSID = 'Q',
    BINPUT = 'q',
    LONG_BINPUT = 'r',
    MEMOIZE = 0x94,
    BINGET = 'h',
    LONG_BINGET = 'j',
    PROTO = 0x80,
    FRAME = 0x95,
};

using Id = uint32_t; // of a value; values never move and are never freed, so aliases are plain numbers

enum class Kind : uint8_t {
    NOTHING, // what no tensor depends on: None, booleans, fractions, bytes
    OBJECT,  // and what can be filled: lists, sets, classes and their objects; its contents are passed over
    INTEGER,
    TEXT,
    TUPLE,
    DICTIONARY,
    ORDERED_DICT,
    REBUILD_TENSOR,    // (storage, offset, shape, stride, requires_grad, hooks[, metadata])
    REBUILD_PARAMETER, // (tensor, requires_grad, hooks[, state])
    REBUILD_FROM_TYPE, // (function, type, its arguments, state): a tensor with attributes
    STORAGE_TYPE,
    STORAGE,
    TENSOR
};

struct Value {
    Kind kind;
    DType dtype; // STORAGE_TYPE
    uint32_t
        first; // TEXT: position in the file; TUPLE: in items_; DICTIONARY, STORAGE, TENSOR: in their lists
    int64_t number; // INTEGER; TEXT, TUPLE: length
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

struct Dictionary {
    std::vector<std::pair<Id, Id>> items;
    bool tensors = false; // among the values
};

struct Function {
    std::string_view module, name;
    Kind kind;
};
constexpr Function FUNCTIONS[] = {
    {"collections", "OrderedDict", Kind::ORDERED_DICT},
    {"torch._utils", "_rebuild_tensor_v2", Kind::REBUILD_TENSOR},
    {"torch._utils", "_rebuild_parameter", Kind::REBUILD_PARAMETER},
    {"torch._utils", "_rebuild_parameter_with_state", Kind::REBUILD_PARAMETER},
    {"torch._tensor", "_rebuild_from_type_v2", Kind::REBUILD_FROM_TYPE},
    // What a checkpoint keeps beside its tensors; passed over.
    {"torch", "Tensor", Kind::OBJECT},
    {"torch", "Size", Kind::OBJECT},
    {"torch", "device", Kind::OBJECT},
    {"torch.nn.parameter", "Parameter", Kind::OBJECT},
    {"collections", "defaultdict", Kind::OBJECT},
    {"collections", "Counter", Kind::OBJECT},
    {"argparse", "Namespace", Kind::OBJECT},
    {"numpy", "dtype", Kind::OBJECT},
    {"numpy.core.multiarray", "scalar", Kind::OBJECT},
    {"numpy._core.multiarray", "scalar", Kind::OBJECT},
    {"_codecs", "encode", Kind::OBJECT}, // bytes, in protocol 2
};
// Types of Python's own, which a checkpoint may have objects of, in either of the module's names.
constexpr std::string_view PYTHON_TYPES[] = {"list",  "dict",    "tuple", "set", "frozenset", "int",
                                             "float", "complex", "bool",  "str", "bytes",     "bytearray"};
// Types of numbers, torch.float32 and the like, which a checkpoint may name too.
constexpr std::string_view NUMBER_TYPES[] = {"float32", "float16", "bfloat16", "float64", "int64",
                                             "int32",   "int16",   "int8",     "uint8",   "bool"};

// Where publishers put the weights when other things lie beside them.
constexpr std::string_view USUAL[] = {"state_dict", "model_state_dict", "model", "module"};

class Machine {
  public:
    Machine(std::string_view pickle, const std::string& file)
        : data_(reinterpret_cast<const std::byte*>(pickle.data())), size_(pickle.size()), file_(file) {}

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
    std::vector<Dictionary> dictionaries_;
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

    void push_nothing() { push(make({Kind::NOTHING, {}, 0, 0})); }
    void push_object() { push(make({Kind::OBJECT, {}, 0, 0})); }
    void push_text(uint64_t length) {
        uint32_t first = uint32_t(at_);
        take(length);
        push(make({Kind::TEXT, {}, first, int64_t(length)}));
    }
    void push_bytes(uint64_t length) {
        take(length);
        push_nothing();
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
        if (count > RANK_LIMIT) throw malformed(std::string(what) + " has too many dimensions");
        std::vector<int64_t> numbers;
        for (size_t i = 0; i < count; i++) numbers.push_back(integer(ids[i], what));
        return numbers;
    }

    // False after STOP.
    bool step(Op op) {
        switch (op) {
        case PROTO:
            if (uint8_t version = uint8_t(*take(1)); version < 2 || version > 5)
                throw read_error(file_,
                                 "its pickle is of protocol " + std::to_string(version) + ", not 2 to 5",
                                 "save the weights again with torch.save at its default protocol");
            return true;
        case STOP:
            return false;
        case MARK:
            marks_.push_back(stack_.size());
            return true;
        case FRAME: // a hint for readers of streams
            if (read_u64(take(8)) > size_ - at_) throw malformed("it is cut off");
            return true;
        case POP: // of a mark, too
            if (!marks_.empty() && stack_.size() == marks_.back())
                marks_.pop_back();
            else
                pop();
            return true;
        case POP_MARK:
            pop_mark();
            return true;
        case BINFLOAT:
            take(8);
            push_nothing();
            return true;
        case NONE:
        case NEWTRUE:
        case NEWFALSE:
            push_nothing();
            return true;
        case EMPTY_LIST:
        case EMPTY_SET:
            push_object();
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
        case SHORT_BINSTRING:
        case SHORT_BINUNICODE:
            push_text(uint8_t(*take(1)));
            return true;
        case BINSTRING:
        case BINUNICODE:
            push_text(read_u32(take(4)));
            return true;
        case BINUNICODE8:
            push_text(read_u64(take(8)));
            return true;
        case SHORT_BINBYTES:
            push_bytes(uint8_t(*take(1)));
            return true;
        case BINBYTES:
            push_bytes(read_u32(take(4)));
            return true;
        case BINBYTES8:
        case BYTEARRAY8:
            push_bytes(read_u64(take(8)));
            return true;
        case APPEND:
            pop();
            require_object("an item belongs to no list");
            return true;
        case APPENDS:
        case ADDITEMS:
            pop_mark();
            require_object("an item belongs to no list");
            return true;
        case FROZENSET:
            pop_mark();
            push_object();
            return true;
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
        case GLOBAL: {
            std::string_view module = take_line(), name = take_line();
            push_global(module, name);
            return true;
        }
        case STACK_GLOBAL: {
            Id name = pop(), module = pop();
            push_global(text(module, "a module's name"), text(name, "a global's name"));
            return true;
        }
        case REDUCE: {
            Id arguments = pop(), function = pop();
            push(call(function, arguments));
            return true;
        }
        case NEWOBJ: // an object without contents: BUILD fills it
            pop();
            require_object("an object has a class that cannot have objects");
            return true;
        case BUILD:
            // A module's state_dict carries its versions ("_metadata") as the state of the dictionary.
            pop();
            if (!is(top(), Kind::DICTIONARY)) require_object("a state belongs to no dictionary");
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
        case MEMOIZE: {
            uint32_t slot = uint32_t(memo_.size());
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
        if (is(into, Kind::OBJECT) && ids.size() % 2 == 0) return;
        if (!is(into, Kind::DICTIONARY) || ids.size() % 2)
            throw malformed("an item belongs to no dictionary");
        Dictionary& dictionary = dictionaries_[values_[into].first];
        for (size_t i = 0; i < ids.size(); i += 2) {
            dictionary.items.emplace_back(ids[i], ids[i + 1]);
            dictionary.tensors |= is(ids[i + 1], Kind::TENSOR);
        }
    }

    void require_object(const char* fault) const {
        if (!is(top(), Kind::OBJECT)) throw malformed(fault);
    }

    void push_global(std::string_view module, std::string_view name) {
        for (const Function& function : FUNCTIONS)
            if (module == function.module && name == function.name)
                return push(make({function.kind, {}, 0, 0}));
        if (module == "torch") {
            if (const auto type = dtype_named(&DTypeNames::storage, name))
                return push(make({Kind::STORAGE_TYPE, *type, 0, 0}));
            for (std::string_view type : NUMBER_TYPES)
                if (name == type) return push_object();
        }
        if (module == "builtins" || module == "__builtin__")
            for (std::string_view type : PYTHON_TYPES)
                if (name == type) return push_object();
        throw read_error(
            file_,
            "its pickle asks for " + in_quotes(std::string(module) + "." + std::string(name)) +
                ", which a dictionary of tensors does not need; nothing was executed",
            "use the weights as the publisher saved them (a plain state_dict), or as safetensors");
    }

    // What a function gives, none of which runs.
    Id call(Id function, Id arguments) {
        auto [ids, count] = tuple(arguments, "an argument list");
        Kind kind = values_[function].kind;
        if (kind == Kind::REBUILD_FROM_TYPE) {
            if (count != 4) throw malformed("a tensor has the wrong arguments");
            function = ids[0], arguments = ids[2];
            std::tie(ids, count) = tuple(arguments, "an argument list");
            kind = values_[function].kind;
            if (kind != Kind::REBUILD_TENSOR && kind != Kind::REBUILD_PARAMETER)
                throw malformed("a tensor has the wrong arguments");
        }
        switch (kind) {
        case Kind::OBJECT:
            return make({Kind::OBJECT, {}, 0, 0});
        case Kind::ORDERED_DICT:
            if (count != 0) throw malformed("a dictionary has arguments");
            dictionaries_.emplace_back();
            return make({Kind::DICTIONARY, {}, uint32_t(dictionaries_.size() - 1), 0});
        case Kind::REBUILD_PARAMETER:
            if (count < 3 || count > 4 || !is(ids[0], Kind::TENSOR))
                throw malformed("a parameter has the wrong arguments");
            return ids[0];
        case Kind::REBUILD_TENSOR:
            if (count < 6 || count > 7 || !is(ids[0], Kind::STORAGE))
                throw malformed("a tensor has the wrong arguments");
            tensors_.push_back({values_[ids[0]].first, integer(ids[1], "a tensor's offset"),
                                integers(ids[2], "a tensor's shape"), integers(ids[3], "a tensor's stride")});
            return make({Kind::TENSOR, {}, uint32_t(tensors_.size() - 1), 0});
        default:
            throw malformed("it calls what cannot be called");
        }
    }

    void push_storage() {
        auto [ids, count] = tuple(pop(), "a storage");
        if (count != 5 || text(ids[0], "a storage's kind") != "storage" || !is(ids[1], Kind::STORAGE_TYPE))
            throw malformed("a storage has the wrong parts");
        if (text(ids[2], "a storage's key").size() > KEY_LIMIT)
            throw malformed("a storage's key is too long");
        storages_.push_back({values_[ids[1]].dtype, ids[2], integer(ids[4], "a storage's size")});
        push(make({Kind::STORAGE, {}, uint32_t(storages_.size() - 1), 0}));
    }

    const Dictionary& dictionary(Id id) const { return dictionaries_[values_[id].first]; }

    // The dictionary of tensors: the one that lies in `root` under one of the usual names, or `root`, or the only one
    // that lies in it.
    const Dictionary& weights_of(Id root) const {
        for (bool usual : {true, false}) {
            if (!usual && dictionary(root).tensors) break;
            const Dictionary* found = nullptr;
            std::string_view found_name;
            for (auto [key, value] : dictionary(root).items) {
                if (!is(value, Kind::DICTIONARY) || !dictionary(value).tensors) continue;
                std::string_view name = text(key, "an entry's name");
                if ((std::find(std::begin(USUAL), std::end(USUAL), name) != std::end(USUAL)) != usual)
                    continue;
                if (found && found != &dictionary(value))
                    throw read_error(file_,
                                     "holds two dictionaries of tensors (" + in_quotes(found_name) + ", " +
                                         in_quotes(name) + ")",
                                     "save the one that is meant with torch.save");
                found = &dictionary(value), found_name = name;
            }
            if (found) return *found;
        }
        return dictionary(root);
    }

    std::vector<PickledTensor> tensors_of(Id root) const {
        if (!is(root, Kind::DICTIONARY)) throw malformed("what it holds is not a dictionary");
        std::vector<PickledTensor> found;
        std::set<std::string_view> names;
        for (auto [key, value] : weights_of(root).items) {
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

std::vector<PickledTensor> read_pickled_tensors(std::string_view pickle, const std::string& file) {
    return Machine(pickle, file).run();
}

} // namespace mc::model
