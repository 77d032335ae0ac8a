#pragma once

#include <map>
#include <tuple>

#include "ops/cuda/cublaslt_api.h"

namespace driftless {
namespace cuda {

/// Gates of a product: y = gate * (x w^T) + bias + residual, with a vector of each for every
/// rows / groups rows.
struct GemmGate {
  const float* vectors = nullptr;  ///< [groups, out] on the device, `stride` apart; null: none.
  int64_t stride = 0, groups = 1;
};

/// One matrix product y = epilogue(x w^T) + residual of row-major matrices in device memory.
struct GemmCall {
  lt::DataType type;       ///< Of x and w. All sums are f32.
  lt::DataType out_type;   ///< Of y: f32, `type`, or bf16 where `type` is e4m3.
  lt::DataType bias_type;  ///< out_type, or bf16 where `type` is e4m3.
  int64_t rows, in, out;
  const void* x;          ///< [rows, in].
  const void* w;          ///< [out, in].
  const float* scale;     ///< Of w in e4m3, one value; else null.
  const void* bias;       ///< [out] or null; with a gate [groups, out].
  bool gelu;              ///< tanh-approximated GELU after the bias.
  const float* residual;  ///< [rows, out] or null; may be y. Only without gelu and with y of f32.
  void* y;                ///< [rows, out].
  GemmGate gate = {};     ///< Only with a residual.
};

/// Products by cuBLASLt. The library's choice of algorithm is asked for once per size and kept.
/// Serves one thread.
class LtGemm {
 public:
  /// `workspace`: device memory that the products of one stream may use.
  LtGemm(const lt::Api& api, void* workspace, size_t workspace_bytes);
  ~LtGemm();
  LtGemm(const LtGemm&) = delete;
  LtGemm& operator=(const LtGemm&) = delete;

  /// Starts the product on `stream` (a cudaStream_t). False, with nothing done, when the library
  /// knows no algorithm for these sizes. Throws Error with the library's text when it fails.
  bool run(const GemmCall& call, void* stream);

 private:
  struct Plan;
  using Key =
      std::tuple<int, int, int64_t, int64_t, int64_t, bool, bool, bool, bool, int64_t, int64_t>;
  Plan& plan(const GemmCall& call);
  void make(Plan& plan, const GemmCall& call);
  lt::Layout layout(lt::DataType type, int64_t rows, int64_t columns, int64_t groups,
                    int64_t stride) const;
  void start(const GemmCall& call, Plan& plan, void* stream) const;
  void check(lt::Status status, const char* what) const;

  lt::Api api_;
  lt::Handle handle_ = nullptr;
  void* workspace_;
  size_t workspace_bytes_;
  std::map<Key, Plan> plans_;
};

}  // namespace cuda
}  // namespace driftless
