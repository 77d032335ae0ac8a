// Runs the checks of all kernels: on the CPU where the emulation is compiled in
// (driftless-cuda-emulation), on the device in a CUDA build (driftless-cuda-device).

#include <chrono>
#include <cstdio>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "cuda/kernel_checks.h"
#include "ops/cuda/platform.cuh"

namespace driftless {
namespace {

const char kUsage[] =
    "Checks every CUDA kernel against the reference backend.\n"
    "  --quick        only the small cases\n"
    "  --case TEXT    this case instead, such as \"attention dtype=bf16 queries=13 keys=77\";\n"
    "                 may be given several times; --list shows kernels, sizes and defaults\n"
    "  --json         end with one line of JSON\n";

/// The orders of threads that a case is run in. A device has its own.
constexpr int kOrders =
#if defined(__CUDACC__)
    1;
#else
    4;
#endif

void set_order(int order) {
#if defined(__CUDACC__)
  static_cast<void>(order);
#else
  using emulation::Order;
  const emulation::Options orders[kOrders] = {
      {Order::ascending, 0}, {Order::descending, 0}, {Order::random, 1}, {Order::random, 2}};
  emulation::set_options(orders[order]);
#endif
}

struct Summary {
  int cases = 0, failures = 0;
  double error = 0.0;
};

/// Runs one case in all orders; prints what is wrong with it.
void run(const KernelCase& kernel_case, Summary& summary) {
  ++summary.cases;
  try {
    uint64_t hash = 0;
    for (int order = 0; order < kOrders; ++order) {
      set_order(order);
      const KernelResult result = check_kernel(kernel_case);
      summary.error = std::max(summary.error, result.error);
      DL_CHECK(result.error <= result.tolerance, "relative error",
               "at most " + std::to_string(result.tolerance), result.error);
      DL_CHECK(order == 0 || result.hash == hash, "bits in another order of threads", "the same",
               "others");
      hash = result.hash;
    }
  } catch (const std::exception& error) {
    ++summary.failures;
    std::cout << "FAILED " << kernel_case.text() << ": " << error.what() << "\n";
  }
}

int run_all(const std::vector<KernelCase>& cases, bool json) {
  std::map<std::string, Summary> by_kernel;
  Summary total;
  const auto start = std::chrono::steady_clock::now();
  for (const KernelCase& kernel_case : cases) {
    run(kernel_case, by_kernel[kernel_case.kernel + " " + kernel_case.dtype]);
  }
  nlohmann::json kernels = nlohmann::json::object();
  for (const auto& [name, summary] : by_kernel) {
    std::printf("  %s %-28s %3d cases, largest relative error %.2e\n",
                summary.failures == 0 ? "ok    " : "FAILED", name.c_str(), summary.cases,
                summary.error);
    kernels[name] = {
        {"cases", summary.cases}, {"failures", summary.failures}, {"maxRelErr", summary.error}};
    total.cases += summary.cases;
    total.failures += summary.failures;
    total.error = std::max(total.error, summary.error);
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("%d cases in %d orders of threads, %d failed, %.1f s\n", total.cases, kOrders,
              total.failures, seconds);
  if (json) {
    std::cout << nlohmann::json{{"kernels", kernels},
                                {"cases", total.cases},
                                {"failures", total.failures},
                                {"maxRelErr", total.error}}
                     .dump()
              << std::endl;
  }
  return total.failures == 0 ? 0 : 1;
}

int main_of(const std::vector<std::string>& arguments) {
  bool quick = false, json = false;
  std::vector<KernelCase> cases;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--help") {
      std::cout << kUsage;
      return 0;
    } else if (argument == "--list") {
      for (const KernelCase& known : kernel_defaults()) std::cout << known.text() << "\n";
      return 0;
    } else if (argument == "--quick") {
      quick = true;
    } else if (argument == "--json") {
      json = true;
    } else if (argument == "--case" && i + 1 < arguments.size()) {
      cases.push_back(KernelCase::parse(arguments[++i]));
    } else {
      throw Error("argument", "one of those that --help shows", argument);
    }
  }
  return run_all(cases.empty() ? kernel_cases(quick) : cases, json);
}

}  // namespace
}  // namespace driftless

int main(int argc, char** argv) {
  try {
    return driftless::main_of(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 2;
  }
}
