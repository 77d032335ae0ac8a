#pragma once

#include <array>
#include <cstddef>

#include "ops/cuda/device_memory.h"

namespace driftless {
namespace cuda {

/// The way of frames to a device and back: through two pieces of pinned memory in turns, so that
/// the device copies one while the host fills or empties the other. The driver's own way, which
/// copies from pageable memory take, does one after the other.
class HostStaging {
 public:
  explicit HostStaging(const Stream& stream) : stream_(stream) {}
  ~HostStaging();
  HostStaging(const HostStaging&) = delete;
  HostStaging& operator=(const HostStaging&) = delete;

  /// Copies between pageable and device memory, ordered on the stream. `from` may change when
  /// to_device() returns; what goes to the host is there when to_host() returns.
  void to_device(const void* from, void* to, size_t bytes);
  void to_host(const void* from, void* to, size_t bytes);

 private:
  struct Piece {
    void* memory = nullptr;
    cudaEvent_t copied = nullptr;  ///< After the copy that was started last.
    void* to = nullptr;            ///< Where the host wants it then; null: nowhere.
    size_t bytes = 0;
  };

  bool prepare();
  Piece& next();
  static void finish(Piece& piece);

  const Stream& stream_;
  std::array<Piece, 2> pieces_;
  size_t turn_ = 0;
  bool refused_ = false;  ///< There is no pinned memory to be had.
};

}  // namespace cuda
}  // namespace driftless
