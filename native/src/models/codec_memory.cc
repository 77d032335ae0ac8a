#include "models/codec_memory.h"

#include "models/weights.h"

namespace driftless {

LatentStatistics LatentStatistics::of(const std::vector<float>& mean, const std::vector<float>& std,
                                      Ops& ops, Arena& parameters) {
  std::vector<float> scale, shift;
  for (size_t c = 0; c < std.size(); ++c) {
    scale.push_back(1.0f / std[c]);
    shift.push_back(-mean[c] / std[c]);
  }
  const auto take = [&](const std::vector<float>& values) {
    return parameter(values, {static_cast<int64_t>(values.size())}, ops, parameters);
  };
  return {take(scale), take(shift), take(std), take(mean)};
}

}  // namespace driftless
