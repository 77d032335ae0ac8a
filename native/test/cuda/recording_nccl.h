#pragma once

#include <string>
#include <vector>

#include "ops/cuda/nccl_api.h"

namespace driftless {

/// A double of NCCL for the emulated devices: what is sent arrives when the receiver's stream gets
/// there, and that makes the sender's stream get as far. What the library would refuse, answer
/// with a hang or take for another transfer adds to recorded_nccl().problems: a transfer outside of
/// a group, a stream of another device, sizes that differ, something received that was never sent,
/// and a connection that is not made by both sides in one group (the library's threads would wait
/// for each other).
const cuda::nccl::Api& recording_nccl();

struct RecordedNccl {
  int transfers = 0;    ///< That have arrived.
  int comms = 0;        ///< That were made and not destroyed.
  bool breaks = false;  ///< Whether nothing can be sent any more.
  bool fails = false;   ///< Whether no communicator can be made.
  std::vector<std::string> problems;
};
RecordedNccl& recorded_nccl();

}  // namespace driftless
