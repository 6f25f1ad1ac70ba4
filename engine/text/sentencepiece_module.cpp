// SPDX-License-Identifier: LGPL-2.1-or-later
// libmotioncache-sentencepiece.so: see sentencepiece.h. No Torch here.
#include "engine/text/sentencepiece.h"

#include <sentencepiece_processor.h>

namespace {

class Processor final : public mc::text::SentencePiece {
  public:
    std::string load(const std::string& model) override {
        return text(processor_.LoadFromSerializedProto(model));
    }
    std::string encode(const std::string& sentence, std::vector<int>& pieces) const override {
        return text(processor_.Encode(sentence, &pieces));
    }
    int eos_id() const override { return processor_.eos_id(); }
    int unk_id() const override { return processor_.unk_id(); }
    bool is_byte(int piece) const override { return processor_.IsByte(piece); }

  private:
    static std::string text(const sentencepiece::util::Status& status) {
        return status.ok() ? "" : status.ToString();
    }
    sentencepiece::SentencePieceProcessor processor_;
};

} // namespace

extern "C" __attribute__((visibility("default"))) mc::text::SentencePiece* mc_sentencepiece_new() {
    return new Processor;
}
