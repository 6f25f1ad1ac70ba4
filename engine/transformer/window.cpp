#include "engine/transformer/window.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <c10/core/InferenceMode.h>

namespace mc::transformer {

// The FFN runs over blocks of rows: its hidden activations are wider than everything else together.
static constexpr int64_t FFN_ROWS = 4096;

Window::Impl::Impl(const Transformer::Impl& model, const Shape& shape) : model(model), shape(shape) {
    const auto& c = model.config;
    int64_t rows = shape.height / c.patch[1], columns = shape.width / c.patch[2];
    frame_tokens = rows * columns;
    tokens = frame_tokens * shape.frames;
    rotary = rotary_tables(shape.frames, rows, columns, c.head());
    for (at::Tensor* t : {&rotary.angle, &rotary.cosine, &rotary.sine}) *t = t->to(model.device);
    row_group = at::empty({tokens}, at::kInt);
    if (!model.device.is_cpu()) return;
    auto space = [&](int64_t r, int64_t width) { return at::empty({r, width}, model.type()); };
    x = space(tokens, c.width);
    y = space(tokens, c.width);
    delta = space(tokens, c.width);
    qkv = space(tokens, 3 * c.width);
    ffn_rows = std::min(tokens, FFN_ROWS);
    hidden = space(ffn_rows, c.ffn);
    velocity = at::empty({c.out_channels, shape.frames, shape.height, shape.width}, at::kFloat);
}

void Window::Impl::embed_time(const std::vector<int64_t>& wanted) {
    if (wanted == timesteps) return; // the second guidance branch of a row
    timesteps = wanted;
    distinct = wanted;
    std::sort(distinct.begin(), distinct.end());
    distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
    frame_group.clear();
    int32_t* group = row_group.mutable_data_ptr<int32_t>();
    for (size_t f = 0; f < wanted.size(); f++) {
        frame_group.push_back(std::lower_bound(distinct.begin(), distinct.end(), wanted[f]) - distinct.begin());
        std::fill_n(group + f * frame_tokens, frame_tokens, static_cast<int32_t>(frame_group.back()));
    }
    time = time_embedding(model, distinct, shape.fps, &count);
}

std::vector<Window::Impl::Span> Window::Impl::spans() const {
    if (shape.attention == model::Attention::FULL) return {{0, tokens, tokens}};
    std::vector<Span> list;
    int64_t chunk = frame_tokens * shape.chunk;
    for (int64_t begin = 0; begin < tokens; begin += chunk)
        list.push_back({begin, begin + chunk, begin + chunk});
    return list;
}

Window::Window(const Transformer& transformer, const Shape& shape) {
    c10::InferenceMode guard;
    const auto& c = transformer.impl_->config;
    if (shape.frames < 1 || shape.height % c.patch[1] || shape.width % c.patch[2] ||
        (shape.attention == model::Attention::CAUSAL && shape.frames % shape.chunk))
        throw Error(MC_ERROR_INTERNAL, "A window that the transformer cannot take.");
    int64_t longest = std::max({static_cast<int64_t>(shape.frames), shape.height / c.patch[1], shape.width / c.patch[2]});
    if (longest > c.rope_length)
        throw Error(MC_ERROR_SETTINGS, "The model has positions for " + std::to_string(c.rope_length) +
                                           " latent frames, rows and columns; ask for a smaller picture or a shorter window.");
    impl_ = std::make_unique<Impl>(*transformer.impl_, shape);
}

Window::~Window() = default;
int64_t Window::flop() const { return impl_->count.flop(); }
const CallCount& Window::calls() const { return impl_->count; }

at::Tensor Window::forward(const at::Tensor& latents, const std::vector<int64_t>& timesteps, const TextContext& text,
                           Cancel cancel, const Trace& trace) {
    c10::InferenceMode guard;
    Impl& w = *impl_;
    w.embed_time(timesteps);
    if (trace) {
        at::Tensor frames = at::tensor(w.frame_group).to(w.model.device);
        trace("e", w.time.e.index_select(0, frames));
        trace("e0", w.time.e0.index_select(0, frames));
        trace("rope_angle", w.rotary.angle);
        trace("rope_cos", w.rotary.cosine);
        trace("rope_sin", w.rotary.sine);
    }
    return plain_ || !w.model.device.is_cpu() ? w.forward_plain(latents, text, cancel, trace)
                                              : w.forward_fast(latents, text, cancel, trace);
}

int64_t Window::bytes(const model::TransformerConfig& c, Precision precision, const Shape& shape) {
    int64_t tokens = shape.frames * (shape.height / c.patch[1]) * (shape.width / c.patch[2]);
    int64_t element = store_for(precision, at::kCPU) == kernels::Store::BF16 ? 2 : 4;
    // x, y, delta, qkv and the attention's result; the rotary tables; patches and head; float32 latents in and out.
    return tokens * c.width * (3 + 3 + 1) * element + std::min(tokens, FFN_ROWS) * c.ffn * element +
           tokens * c.head() / 2 * 3 * 4 + tokens * 4 * (c.in_channels + c.out_channels) * (element + 4) +
           (precision == Precision::BFLOAT16 && element == 4 ? std::max(3 * c.width, c.ffn) * c.width * 4 : 0);
}

} // namespace mc::transformer
