// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/magi1/captions.h"

#include <ATen/TensorIndexing.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "engine/model/npz.h"
#include "engine/model/read_error.h"
#include "engine/networks/weights.h"
#include "engine/text/caption_cleaning.h"

namespace mc::magi1 {

namespace {

constexpr const char* PUBLISHED = "use special_tokens.npz as it comes with MAGI-1 (example/assets)";

// float32 of an odd last bit where it is not exact, so that the next rounding, to half precision, rounds as if it saw
// the double itself: rounded twice to nearest, a number beside the middle of two halves goes to the wrong one.
at::Tensor odd_floats(const at::Tensor& doubles) {
    at::Tensor floats = doubles.to(at::kFloat);
    const double* from = doubles.const_data_ptr<double>();
    float* to = floats.mutable_data_ptr<float>();
    for (int64_t i = 0; i < doubles.numel(); i++) {
        if (double(to[i]) == from[i] || !std::isfinite(to[i]) || (std::bit_cast<uint32_t>(to[i]) & 1))
            continue;
        to[i] = std::nextafter(to[i], from[i] > double(to[i]) ? INFINITY : -INFINITY);
    }
    return floats;
}

at::Tensor read_rows(const model::TensorMap& arrays, const std::string& name, int64_t least, int64_t width,
                     const std::string& file) {
    const auto found = arrays.find(name);
    if (found == arrays.end())
        throw model::read_error(file, "lacks the array " + model::in_quotes(name), PUBLISHED);
    const model::TensorView& view = found->second;
    if (view.shape.size() != 2 || view.shape[0] < least || view.shape[1] != width)
        throw model::read_error(file,
                                "array " + model::in_quotes(name) + " is " + model::shape_text(view.shape) +
                                    ", expected [" + std::to_string(least) + " or more, " +
                                    std::to_string(width) + "]",
                                PUBLISHED);
    if (view.dtype != model::DType::F64 && view.dtype != model::DType::F32 && view.dtype != model::DType::F16)
        throw model::read_error(file,
                                "array " + model::in_quotes(name) + " is of type " + name_of(view.dtype) +
                                    ", expected float64, float32 or float16",
                                PUBLISHED);
    const at::ScalarType type = type_of(view.dtype);
    at::Tensor rows = at::empty(view.shape, at::TensorOptions(type));
    view.read(rows.mutable_data_ptr());
    if (type == at::kDouble) rows = odd_floats(rows);
    rows = rows.to(at::kHalf).to(at::kFloat);
    if (!rows.isfinite().all().item<bool>())
        throw model::read_error(file, "array " + model::in_quotes(name) + " holds NaN or infinity",
                                PUBLISHED);
    return rows;
}

// `rows` in front of the caption, counting.
Caption in_front(std::vector<at::Tensor> rows, const Caption& caption) {
    int64_t count = 0;
    for (const at::Tensor& r : rows) count += r.size(0);
    rows.push_back(caption.rows);
    return {at::cat(rows), at::cat({at::ones({count}, at::kBool), caption.mask})};
}

Caption first(const Caption& caption, int64_t most) {
    const int64_t n = std::min(most, caption.rows.size(0));
    return {caption.rows.narrow(0, 0, n), caption.mask.narrow(0, 0, n)};
}

} // namespace

std::vector<int64_t> caption_ids(const std::string& prompt, const text::Tokenizer& tokenizer, int64_t most,
                                 size_t* all) {
    constexpr bool BYTES = false; // T5 v1.1's vocabulary has none: what it does not know is <unk>
    return tokenizer.encode(text::clean_caption(prompt), size_t(most), BYTES, all);
}

at::Tensor Caption::counting() const {
    return at::index_select(rows, 0, mask.nonzero().view({-1}));
}

SpecialTokens SpecialTokens::open(const std::string& file, int64_t width) {
    const model::TensorMap arrays = model::parse_npz(model::DataFile::open(file));
    return {read_rows(arrays, "caption_token", 1, width, file).narrow(0, 0, 1),
            read_rows(arrays, "logo_token", 1, width, file).narrow(0, 0, 1),
            read_rows(arrays, "other_tokens", LAST + 1, width, file)};
}

Caption with_tokens(const Caption& caption, const TokenChoice& choice, const SpecialTokens& tokens,
                    int64_t most) {
    // As the reference puts one in front of the other, in the order of its switches.
    std::vector<at::Tensor> front;
    for (const auto& [chosen, row] :
         {std::pair{choice.two_d_anime, SpecialTokens::TWO_D_ANIME},
          std::pair{choice.three_d_model, SpecialTokens::THREE_D_MODEL},
          std::pair{choice.high_quality, SpecialTokens::HIGH_QUALITY},
          std::pair{choice.borders, SpecialTokens::BORDERS},
          std::pair{choice.dynamic_first_frames, SpecialTokens::DYNAMIC_FIRST_FRAMES},
          std::pair{choice.static_first_frames, SpecialTokens::STATIC_FIRST_FRAMES}})
        if (chosen) front.push_back(tokens.other(row));
    return first(in_front(front, caption), most - (choice.duration ? 1 : 0));
}

at::Tensor duration_token(const TokenChoice& choice, const SpecialTokens& tokens, int64_t following) {
    if (!choice.duration) return at::empty({0, tokens.others.size(1)}, at::kFloat);
    return tokens.other(SpecialTokens::DURATION +
                        std::clamp<int64_t>(following, 0, SpecialTokens::DURATIONS - 1));
}

Caption null_text(const at::Tensor& null_caption, const TokenChoice& choice, const SpecialTokens& tokens) {
    const int64_t most = null_caption.size(0);
    Caption text{null_caption.to(at::kFloat), at::zeros({most}, at::kBool)};
    text.mask.narrow(0, 0, std::min(NULL_ROWS, most)).fill_(true);
    if (!choice.negative) return text;
    const at::Tensor mask = text.mask; // of places, whatever stands in them
    text = first(in_front({tokens.other(SpecialTokens::BORDERS), tokens.other(SpecialTokens::TRANSITION),
                           tokens.logo, tokens.caption},
                          text),
                 most);
    return {text.rows, mask};
}

} // namespace mc::magi1
