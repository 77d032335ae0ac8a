#pragma once

// Keeps the look of a long stream where it began. A network that reads its own past can wander:
// a little more contrast or colour per chunk adds up over minutes. The guard watches the mean and
// the spread of every latent channel and pulls back, softly, what the input does not explain.
//
// Per chunk and channel: mean m and log spread l = ln(std) of the finished latent, and the same of
// the input's. Both are averaged slowly (time constant `average_s`). The first seconds of a look
// give the anchor; from then on
//
//   allowed    = bound + gain * (largest distance of the input's slow averages from their anchor,
//                over all channels)
//   excess     = the part of (slow average - anchor) beyond +-allowed
//   correction moves towards -excess by at most `slew` per second, and stays within +-limit
//
// so a lamp that is switched off, which moves the input as much, is not drift. The correction is an
// affine map per channel; while all corrections are 0 a latent is not touched, to the last bit.
//
// When the input has stayed away from its anchor for `scene_s` (another scene), the anchor is
// measured anew with the corrections kept in place.
//
// The same is done to the pictures themselves (PictureGuard), behind everything that could wander.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace driftless {

struct DriftGuardConfig {
  int channels = 0;
  double chunk_s = 0.25;    // length of a chunk
  double average_s = 8;     // time constant of the slow averages
  double settle_s = 2;      // not measured after a look began: rings and blends fill
  double anchor_s = 4;      // length of the measurement of an anchor
  double bound = 0.15;      // wandering that is left alone, latent units (spread about 1) and ln
  double gain = 2;          // how much more than the input a look may change
  double slew = 0.05;       // change of a correction per second
  double limit = 0.7;       // of a correction
  double scene = 0.3;       // distance of the input from its anchor that makes another scene
  double scene_s = 20;      // how long it has to stay there
  double persistent_s = 8;  // how long a correction has to work before the memory is renewed
};

// What a guard has done since its session began.
struct GuardCounters {
  uint64_t corrected = 0;  // chunks that were changed
  uint64_t anchors = 0;    // measured, the first one included
  uint64_t renewals = 0;   // of a sink, because corrections went on
};

// Mean of every channel, then log spread of every channel.
using ChannelFeatures = std::vector<double>;

class DriftGuard {
 public:
  explicit DriftGuard(const DriftGuardConfig& config);

  // Takes in what was measured of the input and of what was finished, before correction. No
  // allocation. Returns whether map() has to be applied. Values that are not finite change nothing.
  bool follow(const ChannelFeatures& input, const ChannelFeatures& finished);

  // corrected = value * scale + shift
  struct Map {
    double scale, shift;
  };
  Map map(size_t channel) const;

  // Another look was asked for: corrections fade out and the anchor is measured anew.
  void restart();

  // True once each time that corrections have been at work for `persistent_s`: the stream's memory
  // should be renewed a little (see RollingCache::renew_sink).
  bool take_renewal();

  const GuardCounters& counters() const { return counters_; }

  // The largest distance from the anchor before correction, as a share of what is allowed; above 1
  // the guard works. 0 while an anchor is being measured.
  double wandering() const { return wandering_; }

 private:
  void take_anchor();
  void follow_anchor();
  bool correct();

  DriftGuardConfig config_;
  double blend_;  // weight of one chunk in the slow averages
  double slew_;   // per chunk
  ChannelFeatures input_, output_;
  ChannelFeatures input_slow_, output_slow_;
  ChannelFeatures input_anchor_, output_anchor_;
  ChannelFeatures correction_;
  double excursion_ = 0;  // W
  double age_s_ = 0;      // since the look or the measurement began
  double away_s_ = 0;     // of the input from its anchor
  double at_work_s_ = 0;  // of corrections
  double wandering_ = 0;
  uint64_t measured_ = 0;  // chunks in the anchor so far
  bool anchored_ = false;
  bool release_ = true;  // corrections fade out before the anchor is measured
  bool renewal_ = false;
  GuardCounters counters_;
};

}  // namespace driftless
