// Compared with NVIDIA's header where there is one (`npm run cuda:check`): the numbers and
// parameters that ops/cuda/cudnn_api.h declares for itself. Then the library itself makes plans for
// our attention and convolutions, for devices that are only described. Not part of any build.

#include <cudnn.h>

#include <cstdio>
#include <exception>
#include <string>

#include "core/error.h"
#include "ops/cuda/cudnn_attention.h"
#include "ops/cuda/cudnn_convolution.h"
#include "same_call.h"

namespace dnn = driftless::cuda::dnn;

static_assert(int(dnn::kF32) == CUDNN_DATA_FLOAT && int(dnn::kF16) == CUDNN_DATA_HALF);
static_assert(int(dnn::kBf16) == CUDNN_DATA_BFLOAT16);
static_assert(int(dnn::kHeuristicA) == CUDNN_HEUR_MODE_A);
static_assert(int(dnn::kEngineConfig) == CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
static_assert(int(dnn::kEngineHeuristic) == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
static_assert(int(dnn::kExecutionPlan) == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
static_assert(int(dnn::kOperationGraph) == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
static_assert(int(dnn::kVariantPack) == CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
static_assert(int(dnn::kTensor) == CUDNN_BACKEND_TENSOR_DESCRIPTOR);
static_assert(int(dnn::kDeviceProperties) == CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
static_assert(int(dnn::kAttentionForward) == CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR);
static_assert(int(dnn::kHandleType) == CUDNN_TYPE_HANDLE);
static_assert(int(dnn::kDataTypeType) == CUDNN_TYPE_DATA_TYPE);
static_assert(int(dnn::kBoolean) == CUDNN_TYPE_BOOLEAN && int(dnn::kInt64) == CUDNN_TYPE_INT64);
static_assert(int(dnn::kVoidPointer) == CUDNN_TYPE_VOID_PTR && int(dnn::kChar) == CUDNN_TYPE_CHAR);
static_assert(int(dnn::kHeuristicModeType) == CUDNN_TYPE_HEUR_MODE);
static_assert(int(dnn::kBackendDescriptor) == CUDNN_TYPE_BACKEND_DESCRIPTOR);
static_assert(int(dnn::kHeuristicModeOf) == CUDNN_ATTR_ENGINEHEUR_MODE);
static_assert(int(dnn::kHeuristicGraph) == CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
static_assert(int(dnn::kHeuristicResults) == CUDNN_ATTR_ENGINEHEUR_RESULTS);
static_assert(int(dnn::kHeuristicDevice) == CUDNN_ATTR_ENGINEHEUR_DEVICEPROP);
static_assert(int(dnn::kPlanHandle) == CUDNN_ATTR_EXECUTION_PLAN_HANDLE);
static_assert(int(dnn::kPlanConfig) == CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
static_assert(int(dnn::kPlanWorkspaceBytes) == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
static_assert(int(dnn::kPlanDevice) == CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP);
static_assert(int(dnn::kGraphHandle) == CUDNN_ATTR_OPERATIONGRAPH_HANDLE);
static_assert(int(dnn::kGraphOperations) == CUDNN_ATTR_OPERATIONGRAPH_OPS);
static_assert(int(dnn::kTensorAlignment) == CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
static_assert(int(dnn::kTensorType) == CUDNN_ATTR_TENSOR_DATA_TYPE);
static_assert(int(dnn::kTensorDimensions) == CUDNN_ATTR_TENSOR_DIMENSIONS);
static_assert(int(dnn::kTensorStrides) == CUDNN_ATTR_TENSOR_STRIDES);
static_assert(int(dnn::kTensorId) == CUDNN_ATTR_TENSOR_UNIQUE_ID);
static_assert(int(dnn::kTensorByValue) == CUDNN_ATTR_TENSOR_IS_BY_VALUE);
static_assert(int(dnn::kPackIds) == CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
static_assert(int(dnn::kPackPointers) == CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
static_assert(int(dnn::kPackWorkspace) == CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
static_assert(int(dnn::kDeviceJson) == CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION);
static_assert(int(dnn::kAttentionQ) == CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC);
static_assert(int(dnn::kAttentionK) == CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC);
static_assert(int(dnn::kAttentionV) == CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC);
static_assert(int(dnn::kAttentionOut) == CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC);
static_assert(int(dnn::kAttentionScale) == CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC);
static_assert(int(dnn::kCrossCorrelation) == CUDNN_CROSS_CORRELATION);
static_assert(int(dnn::kAdd) == CUDNN_POINTWISE_ADD);
static_assert(int(dnn::kRelu) == CUDNN_POINTWISE_RELU_FWD);
static_assert(int(dnn::kPointwise) == CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
static_assert(int(dnn::kConvolution) == CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
static_assert(int(dnn::kConvolutionForward) ==
              CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
static_assert(int(dnn::kPointwiseOperation) == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
static_assert(int(dnn::kFloat) == CUDNN_TYPE_FLOAT);
static_assert(int(dnn::kConvolutionModeType) == CUDNN_TYPE_CONVOLUTION_MODE);
static_assert(int(dnn::kPointwiseModeType) == CUDNN_TYPE_POINTWISE_MODE);
static_assert(int(dnn::kPointwiseModeOf) == CUDNN_ATTR_POINTWISE_MODE);
static_assert(int(dnn::kPointwiseType) == CUDNN_ATTR_POINTWISE_MATH_PREC);
static_assert(int(dnn::kConvolutionType) == CUDNN_ATTR_CONVOLUTION_COMP_TYPE);
static_assert(int(dnn::kConvolutionModeOf) == CUDNN_ATTR_CONVOLUTION_CONV_MODE);
static_assert(int(dnn::kConvolutionDilations) == CUDNN_ATTR_CONVOLUTION_DILATIONS);
static_assert(int(dnn::kConvolutionStrides) == CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES);
static_assert(int(dnn::kConvolutionPaddingsAfter) == CUDNN_ATTR_CONVOLUTION_POST_PADDINGS);
static_assert(int(dnn::kConvolutionPaddingsBefore) == CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS);
static_assert(int(dnn::kConvolutionAxes) == CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS);
static_assert(int(dnn::kForwardAlpha) == CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA);
static_assert(int(dnn::kForwardBeta) == CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA);
static_assert(int(dnn::kForwardConvolution) == CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC);
static_assert(int(dnn::kForwardWeight) == CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W);
static_assert(int(dnn::kForwardX) == CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X);
static_assert(int(dnn::kForwardY) == CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y);
static_assert(int(dnn::kPointwiseHow) == CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
static_assert(int(dnn::kPointwiseX) == CUDNN_ATTR_OPERATION_POINTWISE_XDESC);
static_assert(int(dnn::kPointwiseOther) == CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
static_assert(int(dnn::kPointwiseY) == CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
static_assert(int(dnn::kTensorVirtual) == CUDNN_ATTR_TENSOR_IS_VIRTUAL);

#define DL_SAME(function) \
  static_assert(          \
      same_call(decltype(dnn::Api::function){}, static_cast<decltype(&function)>(nullptr)))
DL_SAME(cudnnGetLastErrorString);
DL_SAME(cudnnCreate);
DL_SAME(cudnnDestroy);
DL_SAME(cudnnSetStream);
DL_SAME(cudnnBackendCreateDescriptor);
DL_SAME(cudnnBackendDestroyDescriptor);
DL_SAME(cudnnBackendSetAttribute);
DL_SAME(cudnnBackendGetAttribute);
DL_SAME(cudnnBackendFinalize);
DL_SAME(cudnnBackendExecute);

namespace {

struct Device {
  const char* name;
  int capability;  ///< Times 100.
  int processors, shared_bytes;
};
constexpr Device kDevices[] = {
    {"A100", 800, 108, 166912}, {"RTX 3090", 860, 82, 101376}, {"L40S", 890, 142, 101376},
    {"H100", 900, 132, 232448}, {"B200", 1000, 148, 232448},   {"RTX 5090", 1200, 170, 101376},
};

/// As the library writes a device that it finds.
std::string described(const Device& device) {
  const auto number = [](const char* name, long long value) {
    return std::string("\"") + name + "\": " + std::to_string(value) + ", ";
  };
  return "{\"maxGridSize\": [2147483647, 65535, 65535], \"maxBlockSize\": [1024, 1024, 64], " +
         number("regsPerBlock", 65536) + number("multiProcessorCount", device.processors) +
         number("warpSize", 32) + number("maxSharedMemoryPerBlock", 49152) +
         number("maxSharedMemoryPerBlockOptin", device.shared_bytes) +
         number("reservedSharedMemoryPerBlock", 1024) + number("maxRegistersPerSM", 65536) +
         number("maxCtasPerSM", 16) + number("maxThreadsPerBlock", 1024) +
         number("maxThreadsPerSM", 1536) + number("pciDeviceId", 0) + number("isTccDriver", 0) +
         number("supportCoopLaunch", 1) + number("totalGlobalMem", 24LL << 30) +
         number("smClockRateKHz", 1700000) + number("memClockRateKHz", 1500000) +
         number("l2CacheSize", 40 << 20) + number("cudaDeviceId", 0) +
         number("deviceVer", device.capability) + number("driverVer", 13000) +
         "\"deviceName\": \"" + device.name + "\"}";
}

/// Wan 1.3B over a full ring, in both types, and over a prompt, and small ragged ones.
constexpr driftless::cuda::AttentionSize kSizes[] = {{1560, 9360, 12, 128},
                                                     {1560, 9360, 12, 128, dnn::kF16},
                                                     {1024, 512, 12, 128},
                                                     {144, 864, 4, 64},
                                                     {35, 77, 3, 40}};

dnn::Descriptor properties(const dnn::Api& api, const Device& device) {
  const std::string json = described(device);
  dnn::Descriptor made = nullptr;
  const bool done =
      api.cudnnBackendCreateDescriptor(dnn::kDeviceProperties, &made) == 0 &&
      api.cudnnBackendSetAttribute(made, dnn::kDeviceJson, dnn::kChar,
                                   static_cast<int64_t>(json.size()), json.data()) == 0 &&
      api.cudnnBackendFinalize(made) == 0;
  DL_CHECK(done, "description of a device", "that cuDNN takes it", device.name);
  return made;
}

/// What TAEHV does at 512x512, once in f16, and Wan's over three frames: with all that may follow,
/// in steps of two, pointwise, and what is written as f32.
constexpr driftless::cuda::ConvolutionSize kConvolutions[] = {
    {4, 256, 256, 64, 64, 3, 1, 1, true, true, true, false},
    {4, 256, 256, 64, 64, 3, 1, 1, true, true, true, false, dnn::kF16},
    {2, 256, 256, 64, 64, 3, 2, 1, true, false, true, false},
    {2, 512, 512, 64, 64, 3, 1, 2, true, false, false, false},
    {1, 128, 128, 128, 256, 1, 1, 1, false, false, false, false},
    {4, 60, 104, 96, 96, 3, 3, 1, true, true, false, true}};

void* address(uintptr_t number) { return reinterpret_cast<void*>(number << 20); }

/// All of a run but the run, for which there is no device.
template <typename Run>
void try_out(const char* what, const Run& run) {
  std::string refusal;
  try {
    run();
  } catch (const driftless::Error& error) {
    refusal = error.what();
  }
  const bool only_the_run = refusal.find(std::string("cuDNN: ") + what + ": ") == 0;
  DL_CHECK(only_the_run, "a run", "that it is prepared", refusal.empty() ? "success" : refusal);
}

void attend(const dnn::Api& api, const driftless::cuda::AttentionSize& size,
            const driftless::cuda::DnnTarget& target) {
  const driftless::cuda::DnnAttentionPlan plan(api, size, target);
  void* const workspace = plan.workspace_bytes() > 0 ? address(5) : nullptr;
  try_out("attention", [&] {
    plan.run(nullptr, address(1), address(2), address(3), address(4), 0.1f, workspace);
  });
}

void convolve(const dnn::Api& api, const driftless::cuda::ConvolutionSize& size,
              const driftless::cuda::DnnTarget& target) {
  const driftless::cuda::DnnConvolutionPlan plan(api, size, target);
  void* const workspace = plan.workspace_bytes() > 0 ? address(6) : nullptr;
  try_out("convolution", [&] {
    plan.run(nullptr, address(1), address(2), address(3), address(4), address(5), workspace);
  });
}

}  // namespace

/// Argument: the library. Linked with it as well, so the version comes both ways.
int main(int, char** arguments) {
  try {
    const dnn::Api api = dnn::load_api({arguments[1]});
    const size_t linked = cudnnGetVersion(), loaded = api.cudnnGetVersion();
    int plans = 0;
    for (const Device& device : kDevices) {
      const dnn::Descriptor described = properties(api, device);
      try {
        for (const auto& size : kSizes) attend(api, size, {nullptr, described}), ++plans;
        for (const auto& size : kConvolutions) convolve(api, size, {nullptr, described}), ++plans;
      } catch (const std::exception& error) {
        std::printf("%s: %s\n", device.name, error.what());
        return 1;
      }
      api.cudnnBackendDestroyDescriptor(described);
    }
    std::printf("header and library agree with our declarations, version %zu; %d plans made\n",
                loaded, plans);
    return linked == loaded ? 0 : 1;
  } catch (const std::exception& error) {
    std::printf("%s\n", error.what());
    return 1;
  }
}
