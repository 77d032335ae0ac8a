#include "parity/staged_ops.h"

#include <string>
#include <utility>
#include <vector>

#include "core/arena.h"

namespace driftless {

namespace {

/// One operation's tensors on the device.
class Stage {
 public:
  explicit Stage(Ops& device) : device_(device), scope_(device.arena()) {}

  Tensor in(const Tensor& host) {
    if (!host.present()) return {};
    const Tensor here = device_.arena().tensor(host.shape(), host.dtype());
    device_.copy(host, here);
    return here;
  }
  GroupVectors in(const GroupVectors& host, int64_t width) {
    if (host.data == nullptr) return {};
    const int64_t values = (host.groups - 1) * host.stride + width;
    const Tensor here = in(Tensor({values}, const_cast<float*>(host.data)));
    return {here.f32_address(), host.groups, host.stride};
  }
  /// Comes back with finish().
  Tensor out(const Tensor& host) {
    return returned(host, device_.arena().tensor(host.shape(), host.dtype()));
  }
  /// The same for what is not written as a whole.
  Tensor in_out(const Tensor& host) { return returned(host, in(host)); }

  void finish() {
    for (const auto& [here, host] : back_) device_.copy(here, host);
  }

 private:
  Tensor returned(const Tensor& host, const Tensor& here) {
    back_.emplace_back(here, host);
    return here;
  }

  Ops& device_;
  ArenaScope scope_;
  std::vector<std::pair<Tensor, Tensor>> back_;
};

class StagedOps : public Ops {
 public:
  explicit StagedOps(std::unique_ptr<Ops> device) : device_(std::move(device)) {}

  const char* name() const override { return device_->name(); }
  DType dtype() const override { return device_->dtype(); }
  const char* precision() const override { return device_->precision(); }

  std::unique_ptr<PackedLinear> pack_linear(const Tensor& weight, const Tensor& bias,
                                            bool bulk) override {
    return device_->pack_linear(weight, bias, bulk);
  }
  void linear(const PackedLinear& weights, const Tensor& x, const Tensor& y,
              const LinearEpilogue& epilogue) override {
    Stage stage(*device_);
    LinearEpilogue here = epilogue;
    here.residual = stage.in(epilogue.residual);
    here.gate = stage.in(epilogue.gate, weights.out());
    device_->linear(weights, stage.in(x), stage.out(y), here);
    stage.finish();
  }

  std::unique_ptr<PackedConv> pack_conv(const Tensor& weight, const Tensor& bias,
                                        const ConvOptions& options) override {
    return device_->pack_conv(weight, bias, options);
  }
  void conv2d(const PackedConv& weights, const Tensor& x, const Tensor& x2, const Tensor& residual,
              Activation activation, const Tensor& y) override {
    Stage stage(*device_);
    device_->conv2d(weights, stage.in(x), stage.in(x2), stage.in(residual), activation,
                    stage.out(y));
    stage.finish();
  }

  void attention(const AttentionRow* rows, int64_t count, int64_t heads, int64_t head_dim,
                 float scale) override {
    Stage stage(*device_);
    std::vector<AttentionRow> here(rows, rows + count);
    const auto tensor = [&](const void* data, int64_t tokens, DType dtype) {
      return Tensor(dtype, {tokens, heads, head_dim}, const_cast<void*>(data));
    };
    for (AttentionRow& row : here) {
      row.q = stage.in(tensor(row.q, row.queries, row.dtype)).data();
      row.k = stage.in(tensor(row.k, row.keys, row.kv_dtype)).data();
      row.v = stage.in(tensor(row.v, row.keys, row.kv_dtype)).data();
      row.out = stage.out(tensor(row.out, row.queries, row.dtype)).data();
    }
    device_->attention(here.data(), count, heads, head_dim, scale);
    stage.finish();
  }

  void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias,
                  const GroupVectors& scale, const GroupVectors& shift, float eps,
                  const Tensor& y) override {
    Stage stage(*device_);
    const int64_t width = x.dim(1);
    device_->layer_norm(stage.in(x), stage.in(weight), stage.in(bias), stage.in(scale, width),
                        stage.in(shift, width), eps, stage.out(y));
    stage.finish();
  }
  void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y) override {
    to_device({x, weight}, y, [&](const Tensor* in, const Tensor& out) {
      device_->rms_norm(in[0], in[1], eps, out);
    });
  }
  void rope3d(const Tensor& x, const double* positions, int64_t height, int64_t width,
              const Tensor& y) override {
    to_device({x}, y, [&](const Tensor* in, const Tensor& out) {
      device_->rope3d(in[0], positions, height, width, out);
    });
  }
  void timestep_embedding(const double* t, const Tensor& y) override {
    to_device({}, y,
              [&](const Tensor*, const Tensor& out) { device_->timestep_embedding(t, out); });
  }
  void mean_rows(const Tensor& x, const Tensor& y) override {
    to_device({x}, y, [&](const Tensor* in, const Tensor& out) { device_->mean_rows(in[0], out); });
  }

  void activate(Activation activation, const Tensor& x, const Tensor& y) override {
    to_device({x}, y, [&](const Tensor* in, const Tensor& out) {
      device_->activate(activation, in[0], out);
    });
  }
  void tanh_clamp(const Tensor& x, float limit, const Tensor& y) override {
    to_device({x}, y,
              [&](const Tensor* in, const Tensor& out) { device_->tanh_clamp(in[0], limit, out); });
  }
  void clamp(const Tensor& x, float low, float high, const Tensor& y) override {
    to_device({x}, y,
              [&](const Tensor* in, const Tensor& out) { device_->clamp(in[0], low, high, out); });
  }
  void axpby(float a, const Tensor& x, float b, const Tensor& y, const Tensor& out) override {
    to_device({x, y}, out,
              [&](const Tensor* in, const Tensor& to) { device_->axpby(a, in[0], b, in[1], to); });
  }
  void affine_channels(const Tensor& x, const Tensor& scale, const Tensor& shift,
                       const Tensor& y) override {
    to_device({x, scale, shift}, y, [&](const Tensor* in, const Tensor& out) {
      device_->affine_channels(in[0], in[1], in[2], out);
    });
  }
  void mix_channels(const Tensor& x, const Tensor& matrix, const Tensor& y) override {
    to_device({x, matrix}, y, [&](const Tensor* in, const Tensor& out) {
      device_->mix_channels(in[0], in[1], out);
    });
  }
  double mean_square_difference(const Tensor& a, const Tensor& b) override {
    Stage stage(*device_);
    return device_->mean_square_difference(stage.in(a), stage.in(b));
  }

  void upsample2(const Tensor& x, const Tensor& y) override { moves(&Ops::upsample2, x, y); }
  void upsample_bilinear(const Tensor& x, const Tensor& y, bool accumulate) override {
    Stage stage(*device_);
    device_->upsample_bilinear(stage.in(x), stage.in_out(y), accumulate);
    stage.finish();
  }
  void average_pool(const Tensor& x, const Tensor& y) override { moves(&Ops::average_pool, x, y); }
  void pixel_unshuffle(const Tensor& x, const Tensor& y) override {
    moves(&Ops::pixel_unshuffle, x, y);
  }
  void pixel_shuffle(const Tensor& x, const Tensor& y) override {
    moves(&Ops::pixel_shuffle, x, y);
  }
  void unpatchify(const Tensor& x, const Tensor& y) override { moves(&Ops::unpatchify, x, y); }
  void frames_to_channels(const Tensor& x, const Tensor& y) override {
    moves(&Ops::frames_to_channels, x, y);
  }
  void channels_to_frames(const Tensor& x, const Tensor& y) override {
    moves(&Ops::channels_to_frames, x, y);
  }
  void copy_channels(const Tensor& x, int64_t from, int64_t count, const Tensor& y,
                     int64_t to) override {
    Stage stage(*device_);
    device_->copy_channels(stage.in(x), from, count, stage.in_out(y), to);
    stage.finish();
  }
  void nchw_to_nhwc(const Tensor& x, const Tensor& y) override { moves(&Ops::nchw_to_nhwc, x, y); }
  void nhwc_to_nchw(const Tensor& x, const Tensor& y) override { moves(&Ops::nhwc_to_nchw, x, y); }
  void u8_to_f32(const Tensor& x, float scale, float shift, const Tensor& y) override {
    to_device({x}, y, [&](const Tensor* in, const Tensor& out) {
      device_->u8_to_f32(in[0], scale, shift, out);
    });
  }
  void f32_to_u8(const Tensor& x, float scale, float shift, const Tensor& y) override {
    to_device({x}, y, [&](const Tensor* in, const Tensor& out) {
      device_->f32_to_u8(in[0], scale, shift, out);
    });
  }

 private:
  /// run(inputs, output) with both on the device.
  template <typename Run>
  void to_device(std::initializer_list<Tensor> inputs, const Tensor& output, const Run& run) {
    Stage stage(*device_);
    std::vector<Tensor> in;
    for (const Tensor& input : inputs) in.push_back(stage.in(input));
    run(in.data(), stage.out(output));
    stage.finish();
  }
  void moves(void (Ops::*operation)(const Tensor&, const Tensor&), const Tensor& x,
             const Tensor& y) {
    to_device({x}, y, [&](const Tensor* in, const Tensor& out) {
      (device_.get()->*operation)(in[0], out);
    });
  }

  std::unique_ptr<Ops> device_;
};

}  // namespace

std::unique_ptr<Ops> stage_on_device(std::unique_ptr<Ops> device) {
  return std::make_unique<StagedOps>(std::move(device));
}

}  // namespace driftless
