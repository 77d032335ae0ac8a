#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/arena.h"
#include "ops/cuda/cublaslt_api.h"
#include "ops/cuda/cudnn_api.h"
#include "ops/cuda/nccl_api.h"
#include "ops/cuda/replay_counts.h"
#include "ops/ops.h"

namespace driftless {

/// What matrix products, convolutions and attention multiply; sums are always f32. fp8 is bf16 but
/// for the products of bulk weights, which are kept in e4m3 with a scale for each matrix; cuBLASLt
/// multiplies them by tokens rounded to e4m3, our own kernel by tokens of bf16. fp8_kv is fp8 with
/// rings of e4m3 too.
enum class CudaPrecision { f32, bf16, f16, fp8, fp8_kv };

struct CudaOptions {
  int device = 0;
  CudaPrecision precision = CudaPrecision::bf16;
  /// Most device memory, in bytes, that one matrix product may use beside its matrices.
  size_t workspace_bytes = size_t{32} << 20;
  /// Whether repeated() work is started as a CUDA graph.
  bool graphs = true;
  /// Whether prepare_gated() tries cuBLASLt's products with a gate.
  bool gated_products = true;
  /// Null: products run on our own kernel. Needed only while the operations are made.
  const cuda::lt::Api* cublaslt = nullptr;
  /// The same for attention and convolutions of 16 bits.
  const cuda::dnn::Api* cudnn = nullptr;
  /// Null: tensors get from rank to rank as copies. Needed only while the operations are made.
  const cuda::nccl::Api* nccl = nullptr;
  /// Seconds by which kernels and libraries are compared; null: the steady clock.
  double (*clock)() = nullptr;
};

/// Operations on tensors in device or unified memory, all on one stream: an operation is started,
/// not awaited, and tensors keep their memory until it is done. Only mean_square_difference()
/// waits. Our own kernel adds up a row in the same order whatever rows are beside it; cuBLASLt may
/// choose another order for another number of rows. Throws Error when the device cannot be used,
/// with the reason that inspect_cuda() gives.
std::unique_ptr<Ops> make_cuda_ops(const CudaOptions& options);
/// With cuBLASLt and cuDNN where the machine has them, without the latter where DRIFTLESS_CUDNN is
/// "off", with graphs unless DRIFTLESS_CUDA_GRAPHS is "off", and with gates in products where that
/// is faster unless DRIFTLESS_CUDA_GATES is "off". Links are copies, or NCCL's where
/// DRIFTLESS_CUDA_TRANSPORT is "nccl"; throws Error for another word, or without the library.
/// dtype: "f32", "bf16", "f16", "fp8", "fp8-kv" or "auto" (bf16).
std::unique_ptr<Ops> make_cuda_ops(int device, const std::string& dtype);

/// Of its name; throws Error for another.
CudaPrecision cuda_precision(const std::string& dtype);

/// What became of repeated() work of operations that make_cuda_ops() made.
cuda::ReplayCounts replay_counts(const Ops& ops);

/// Memory of a device for an Arena, and memory that host and device both reach (for tests and
/// parity runs: pages move on every touch). Their allocations throw Error when nothing is left.
const MemorySource& cuda_memory(int device = 0);
const MemorySource& cuda_unified_memory();

/// One device as the driver describes it.
struct CudaDevice {
  std::string name;
  int major = 0, minor = 0;  ///< Compute capability.
  size_t memory_bytes = 0;
  std::string problem;  ///< Empty: the engine can use it.
};

/// What this machine has, and what is missing. Versions are as CUDA numbers them (13000 is 13.0),
/// 0 where unknown.
struct CudaReport {
  int driver_version = 0, runtime_version = 0;
  std::vector<CudaDevice> devices;
  std::string problem;          ///< Why no device can be used; empty: at least one can.
  size_t cublaslt_version = 0;  ///< 0: not found.
  std::string cublaslt_problem;
  size_t cudnn_version = 0;  ///< 0: not found.
  std::string cudnn_problem;
  int nccl_version = 0;  ///< 0: not found, or not looked for.
  std::string nccl_problem;
  std::string text() const;  ///< A line each.
};
/// Looks, and never throws. `nccl`: for NCCL too, a library of hundreds of megabytes that nothing
/// opens but who asked for it; else the report says nothing of it.
CudaReport inspect_cuda(bool nccl = false);

}  // namespace driftless
