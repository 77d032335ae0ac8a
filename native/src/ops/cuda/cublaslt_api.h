#pragma once

// The few functions of cuBLASLt that the engine calls, taken from the library at run time, so that
// one binary runs with and without it. The declarations are our own, because a machine that builds
// the engine need not have NVIDIA's header; `npm run cuda:check` compares them with it where it
// finds one.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace driftless {
namespace cuda {
namespace lt {

using Handle = struct HandleBody*;
using MatmulDesc = struct MatmulDescBody*;
using Layout = struct LayoutBody*;
using Preference = struct PreferenceBody*;
using Status = int;  ///< 0 is success.

enum DataType : int { kF32 = 0, kF16 = 2, kBf16 = 14, kE4m3 = 28 };
enum ComputeType : int { kCompute32F = 68 };
enum Transpose : int32_t { kNone = 0, kTransposed = 1 };
enum DescAttribute : int {
  kPointerMode = 2,
  kTransA = 3,
  kTransB = 4,
  kEpilogue = 7,
  kBiasPointer = 8,
  kBiasBatchStride = 10,
  kAlphaBatchStride = 14,
  kScaleAPointer = 17,
  kBiasType = 26
};
enum PointerMode : int32_t { kAlphaVectorBetaHost = 4 };
enum LayoutAttribute : int { kBatchCount = 5, kBatchStride = 6 };
enum PreferenceAttribute : int { kMaxWorkspaceBytes = 1 };
enum EpilogueKind : uint32_t { kPlain = 1, kBias = 4, kGelu = 32, kGeluBias = 36 };

struct Algorithm {
  uint64_t data[8];
};
struct Heuristic {
  Algorithm algorithm;
  size_t workspace_bytes;
  Status state;
  float waves;
  int reserved[4];
};

/// Function pointers under the library's names.
struct Api {
  size_t (*cublasLtGetVersion)();
  const char* (*cublasLtGetStatusString)(Status);
  Status (*cublasLtCreate)(Handle*);
  Status (*cublasLtDestroy)(Handle);
  Status (*cublasLtMatmulDescCreate)(MatmulDesc*, ComputeType, DataType scale);
  Status (*cublasLtMatmulDescDestroy)(MatmulDesc);
  Status (*cublasLtMatmulDescSetAttribute)(MatmulDesc, DescAttribute, const void*, size_t);
  Status (*cublasLtMatrixLayoutCreate)(Layout*, DataType, uint64_t rows, uint64_t columns,
                                       int64_t leading);
  Status (*cublasLtMatrixLayoutDestroy)(Layout);
  Status (*cublasLtMatrixLayoutSetAttribute)(Layout, LayoutAttribute, const void*, size_t);
  Status (*cublasLtMatmulPreferenceCreate)(Preference*);
  Status (*cublasLtMatmulPreferenceDestroy)(Preference);
  Status (*cublasLtMatmulPreferenceSetAttribute)(Preference, PreferenceAttribute, const void*,
                                                 size_t);
  Status (*cublasLtMatmulAlgoGetHeuristic)(Handle, MatmulDesc, Layout a, Layout b, Layout c,
                                           Layout d, Preference, int wanted, Heuristic*,
                                           int* found);
  Status (*cublasLtMatmul)(Handle, MatmulDesc, const void* alpha, const void* a, Layout,
                           const void* b, Layout, const void* beta, const void* c, Layout, void* d,
                           Layout, const Algorithm*, void* workspace, size_t workspace_bytes,
                           void* stream);
};

/// Names tried by load_api() when none are given: CUDA 13's library, then 12's.
std::vector<std::string> library_names();

/// Opens the first library that is there (it stays open) and takes all functions from it. Throws
/// Error that lists what was tried and why each failed.
Api load_api(const std::vector<std::string>& names = library_names());

}  // namespace lt
}  // namespace cuda
}  // namespace driftless
