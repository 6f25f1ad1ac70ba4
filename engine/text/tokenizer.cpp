// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/text/tokenizer.h"

#include <filesystem>
#include <fstream>

#include "engine/error.h"
#include "engine/text/sentencepiece.h"
#include "engine/text/sentencepiece_check.h"

namespace mc::text {

struct Tokenizer::Impl {
    std::unique_ptr<SentencePiece> pieces = make_sentencepiece();
};

static std::string read(const std::string& file) {
    constexpr uintmax_t MOST = 256 << 20; // published models have 4 MB
    std::error_code code;
    if (!std::filesystem::exists(file, code))
        throw Error(MC_ERROR_NOT_FOUND, "The tokenizer " + file +
                                            " is missing; copy spiece.model of the model's tokenizer there.");
    uintmax_t size =
        std::filesystem::is_regular_file(file, code) ? std::filesystem::file_size(file, code) : MOST;
    std::string bytes;
    if (!code && size < MOST) {
        bytes.resize(size);
        std::ifstream in(file, std::ios::binary);
        if (in.read(bytes.data(), std::streamsize(size))) return bytes;
    }
    throw Error(MC_ERROR_READ,
                "The tokenizer " + file +
                    " cannot be read; check that it is a file, its size and its permissions.",
                code.message());
}

Tokenizer::Tokenizer(const std::string& file) : impl_(std::make_unique<Impl>()) {
    std::string model = read(file);
    std::string fault = sentencepiece_fault(model), detail;
    if (fault.empty()) {
        detail = impl_->pieces->load(model);
        if (!detail.empty())
            fault = "it is another kind of file or damaged";
        else if (impl_->pieces->eos_id() < 0)
            fault = "it has no end token";
    }
    if (!fault.empty())
        throw Error(MC_ERROR_READ,
                    "The tokenizer " + file + " is not a usable SentencePiece model: " + fault +
                        "; copy spiece.model of the model's tokenizer there again.",
                    detail);
}

Tokenizer::~Tokenizer() = default;

std::vector<int64_t> Tokenizer::encode(const std::string& text, size_t rows, bool byte_fallback, size_t* all) const {
    const SentencePiece& processor = *impl_->pieces;
    std::vector<int> pieces;
    if (std::string fault = processor.encode(text, pieces); !fault.empty())
        throw Error(MC_ERROR_INTERNAL, "SentencePiece could not split the prompt; please report this.", fault);

    std::vector<int64_t> ids;
    bool unknown = false; // inside a run of byte pieces
    for (int piece : pieces) {
        bool byte = !byte_fallback && processor.is_byte(piece);
        if (!(byte && unknown)) ids.push_back(byte ? processor.unk_id() : piece);
        unknown = byte;
    }
    if (all) *all = ids.size() + 1;
    if (ids.size() >= rows) ids.resize(rows - 1);
    ids.push_back(processor.eos_id());
    return ids;
}

} // namespace mc::text
