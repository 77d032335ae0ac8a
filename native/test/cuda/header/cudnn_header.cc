// Compared with NVIDIA's header where there is one (`npm run cuda:check`): the numbers and
// parameters that ops/cuda/cudnn_api.h declares for itself. Then the library itself makes plans for
// our attention, for devices that are only described. Not part of any build.

#include <cudnn.h>

#include <cstdio>
#include <exception>
#include <string>

#include "core/error.h"
#include "ops/cuda/cudnn_attention.h"
#include "same_call.h"

namespace dnn = driftless::cuda::dnn;

static_assert(int(dnn::kF32) == CUDNN_DATA_FLOAT && int(dnn::kBf16) == CUDNN_DATA_BFLOAT16);
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

/// Wan 1.3B over a full ring and over a prompt, and small ragged ones.
constexpr driftless::cuda::AttentionSize kSizes[] = {
    {1560, 9360, 12, 128}, {1024, 512, 12, 128}, {144, 864, 4, 64}, {35, 77, 3, 40}};

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

/// All of a run but the run, for which there is no device.
void try_out(const driftless::cuda::DnnAttentionPlan& plan) {
  const auto address = [](uintptr_t number) { return reinterpret_cast<void*>(number << 20); };
  std::string refusal;
  try {
    void* const workspace = plan.workspace_bytes() > 0 ? address(5) : nullptr;
    plan.run(nullptr, address(1), address(2), address(3), address(4), 0.1f, workspace);
  } catch (const driftless::Error& error) {
    refusal = error.what();
  }
  const bool only_the_run = refusal.find("cuDNN: attention: ") == 0;
  DL_CHECK(only_the_run, "a run", "that it is prepared", refusal.empty() ? "success" : refusal);
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
      for (const driftless::cuda::AttentionSize& size : kSizes) {
        try {
          try_out(driftless::cuda::DnnAttentionPlan(api, size, {nullptr, described}));
        } catch (const std::exception& error) {
          std::printf("%s, %d queries and %d keys: %s\n", device.name, int(size.queries),
                      int(size.keys), error.what());
          return 1;
        }
        ++plans;
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
