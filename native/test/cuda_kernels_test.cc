// The CUDA kernels, run by the emulation against the reference backend. `npm run cuda:check` runs
// more and larger cases, and compiles the same kernels for every architecture.

#include <gtest/gtest.h>

#include "cuda/kernel_checks.h"
#include "emulation/simt.h"
#include "ops_test_support.h"

namespace driftless {
namespace {

TEST(CudaKernels, AgreeWithTheReferenceInEveryOrderOfThreads) {
  emulation::statistics() = {};
  for (const KernelCase& kernel_case : kernel_cases(true)) {
    emulation::set_options({emulation::Order::random, 17});
    const KernelResult random = check_kernel(kernel_case);
    EXPECT_LE(random.error, random.tolerance) << kernel_case.text();
    emulation::set_options({emulation::Order::descending, 0});
    EXPECT_EQ(random.hash, check_kernel(kernel_case).hash)
        << kernel_case.text() << ": the result depends on the order of threads";
  }
  emulation::set_options({});
  EXPECT_GT(emulation::statistics().launches, 100);
  EXPECT_EQ(0, emulation::statistics().bank_conflicts) << "in the tiles of an ldmatrix";
}

TEST(CudaKernels, CasesAreReadFromTextAndWrongOnesExplained) {
  const KernelCase parsed = KernelCase::parse("rms_norm dtype=bf16 width=7");
  EXPECT_EQ("rms_norm dtype=bf16 width=7", parsed.text());
  expect_error([] { KernelCase::parse("rms_norm width"); }, {"name=number", "width"});
  expect_error([] { KernelCase::parse("rms_norm width=7x"); }, {"name=number", "7x"});
  expect_error([] { check_kernel(KernelCase::parse("rms")); }, {"kernel", "rms_norm", "got rms"});
  expect_error([] { check_kernel(KernelCase::parse("rms_norm wide=7")); }, {"width", "wide"});
  expect_error([] { check_kernel(KernelCase::parse("rms_norm dtype=fp8")); }, {"type", "fp8"});
}

}  // namespace
}  // namespace driftless
