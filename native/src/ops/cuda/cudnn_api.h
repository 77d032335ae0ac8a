#pragma once

// The few functions and numbers of cuDNN's graph API that the engine uses, taken from the library
// at run time and declared here for the reasons that cublaslt_api.h gives.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace driftless {
namespace cuda {
namespace dnn {

using Handle = struct HandleBody*;
using Descriptor = void*;
using Status = int;  ///< 0 is success.

enum DataType : int { kF32 = 0, kF16 = 2, kBf16 = 9 };
enum HeuristicMode : int { kHeuristicA = 3 };
enum ConvolutionMode : int { kCrossCorrelation = 1 };
enum PointwiseMode : int { kAdd = 0, kRelu = 100 };
enum DescriptorKind : int {
  kPointwise = 0,
  kConvolution = 1,
  kEngineConfig = 3,
  kEngineHeuristic = 4,
  kExecutionPlan = 5,
  kConvolutionForward = 10,
  kPointwiseOperation = 13,
  kOperationGraph = 15,
  kVariantPack = 16,
  kTensor = 17,
  kDeviceProperties = 38,
  kAttentionForward = 41
};
enum AttributeType : int {
  kHandleType = 0,
  kDataTypeType = 1,
  kBoolean = 2,
  kInt64 = 3,
  kFloat = 4,
  kVoidPointer = 6,
  kConvolutionModeType = 7,
  kHeuristicModeType = 8,
  kPointwiseModeType = 14,
  kBackendDescriptor = 15,
  kChar = 24
};
enum Attribute : int {
  kPointwiseModeOf = 0,
  kPointwiseType = 1,
  kConvolutionType = 100,
  kConvolutionModeOf = 101,
  kConvolutionDilations = 102,
  kConvolutionStrides = 103,
  kConvolutionPaddingsAfter = 104,
  kConvolutionPaddingsBefore = 105,
  kConvolutionAxes = 106,
  kHeuristicModeOf = 200,
  kHeuristicGraph = 201,
  kHeuristicResults = 202,
  kHeuristicDevice = 204,
  kPlanHandle = 400,
  kPlanConfig = 401,
  kPlanWorkspaceBytes = 402,
  kPlanDevice = 407,
  kForwardAlpha = 700,
  kForwardBeta = 701,
  kForwardConvolution = 702,
  kForwardWeight = 703,
  kForwardX = 704,
  kForwardY = 705,
  kPointwiseHow = 750,
  kPointwiseX = 751,
  kPointwiseOther = 752,
  kPointwiseY = 753,
  kGraphHandle = 800,
  kGraphOperations = 801,
  kTensorAlignment = 900,
  kTensorType = 901,
  kTensorDimensions = 902,
  kTensorStrides = 903,
  kTensorId = 906,
  kTensorVirtual = 907,
  kTensorByValue = 908,
  kPackIds = 1000,
  kPackPointers = 1001,
  kPackWorkspace = 1003,
  kDeviceJson = 2702,
  kAttentionQ = 2800,
  kAttentionK = 2801,
  kAttentionV = 2802,
  kAttentionOut = 2803,
  kAttentionScale = 2805
};

/// The first release whose attention is an operation of its own (9.13.0).
constexpr size_t kOldestVersion = 91300;

/// Function pointers under the library's names.
struct Api {
  size_t (*cudnnGetVersion)();
  void (*cudnnGetLastErrorString)(char* text, size_t size);
  Status (*cudnnCreate)(Handle*);
  Status (*cudnnDestroy)(Handle);
  Status (*cudnnSetStream)(Handle, void* stream);
  Status (*cudnnBackendCreateDescriptor)(DescriptorKind, Descriptor*);
  Status (*cudnnBackendDestroyDescriptor)(Descriptor);
  Status (*cudnnBackendSetAttribute)(Descriptor, Attribute, AttributeType, int64_t count,
                                     const void* elements);
  Status (*cudnnBackendGetAttribute)(Descriptor, Attribute, AttributeType, int64_t wanted,
                                     int64_t* count, void* elements);
  Status (*cudnnBackendFinalize)(Descriptor);
  Status (*cudnnBackendExecute)(Handle, Descriptor plan, Descriptor variant_pack);
};

/// Names tried by load_api() when none are given.
std::vector<std::string> library_names();

/// Opens the first library that is there (it stays open) and takes all functions from it. Throws
/// Error that lists what was tried and why each failed, and for a release that is too old.
Api load_api(const std::vector<std::string>& names = library_names());

}  // namespace dnn
}  // namespace cuda
}  // namespace driftless
