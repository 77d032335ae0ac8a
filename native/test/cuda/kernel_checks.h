#pragma once

// Every kernel of ops/cuda against the reference backend. Compiled twice: by the host's compiler
// against the emulation, and by nvcc for a real device; the checks are the same.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace driftless {

/// A kernel and its sizes, written "attention dtype=bf16 heads=3 queries=13 keys=33".
struct KernelCase {
  std::string kernel;
  std::string dtype = "f32";  ///< f32, bf16 or f16.
  std::map<std::string, int64_t> sizes;

  /// Throws Error when there is no number after a name.
  static KernelCase parse(const std::string& text);
  std::string text() const;
  /// The named size, or `otherwise`.
  int64_t size(const std::string& name, int64_t otherwise) const;
};

struct KernelResult {
  double error = 0.0;      ///< Largest difference over the expected value, or over the rms of
                           ///< all expected values where that is larger.
  double tolerance = 0.0;  ///< What rounding allows.
  uint64_t hash = 0;       ///< Of the output's bits: must not depend on the order of threads.
};

/// Names of all kernels that can be checked, and the sizes each knows with their defaults.
std::vector<KernelCase> kernel_defaults();

/// Runs one case with reproducible random inputs. Throws Error for an unknown kernel, type or size
/// and when the kernel writes outside of its output.
KernelResult check_kernel(const KernelCase& kernel_case);

/// Ragged cases of every kernel, in every type it has: `quick` ones run in seconds.
std::vector<KernelCase> kernel_cases(bool quick);

}  // namespace driftless
