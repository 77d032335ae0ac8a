#pragma once

// What a test sees of the doubles of NVIDIA's libraries, and tells them.

#include <atomic>
#include <cstdint>
#include <vector>

/// `driftless_cuda_counts` of the driver's.
struct CudaCounts {
  std::atomic<int> contexts{0};  ///< Retained and not released.
  std::atomic<int> streams{0};   ///< Made and not destroyed.
  std::atomic<int> copies{0};    ///< Planes fetched.
  std::atomic<int> pieces{0};    ///< Of memory, taken and not given back.
};

/// `driftless_nvenc` of the encoder's.
struct NvencState {
  std::atomic<int> sessions{0};    ///< That are open.
  std::atomic<int> registered{0};  ///< Pictures registered and not unregistered.
  std::atomic<int> host_pictures{
      0};                            ///< Encoded from memory of the encoder's, which FFmpeg filled.
  std::atomic<int> gpu_pictures{0};  ///< Encoded from memory that it was only shown.
  std::atomic<int> reconfigured{0};
  double fps = 0;            ///< That the rate control plans with,
  uint32_t bitrate_bps = 0;  ///<   and what it aims at.
  int most_sessions = 3;     ///< As on a GeForce: more are refused. 0: no encoder, as on an H100.
};

/// `driftless_nvcuvid` of the decoder's.
struct NvcuvidState {
  std::atomic<int> decoders{0};  ///< That are there.
  std::atomic<int> mapped{0};    ///< Pictures mapped and not unmapped.
  std::atomic<int> pictures{0};  ///< Decoded.
  std::atomic<int> fail{0};      ///< So many pictures are refused from now on.
  int max_width = 4096;          ///< Wider streams are not supported.
  /// H.264's parameter sets in Annex B form: FFmpeg takes them apart and passes slices alone.
  std::vector<uint8_t> headers;
};
