#pragma once

// The golden cases this program knows. Each returns what it found; a set that
// cannot be read at all is an Error.

#include "ops/ops.h"
#include "parity/comparison.h"
#include "parity/golden_set.h"

namespace driftless {

// Count, number of parameters, sum and sum of absolute values of a weight file,
// after widening.
Comparison check_weights(const GoldenSet& set, const std::string& name);

// schedule.json: sigma table, look-ups, step lists, noising, controller traces.
Comparison check_schedule(const GoldenSet& set);

// dit_forward: every stage of one forward, then one more on the same memory.
Comparison check_forward(const GoldenSet& set, const std::string& name, CausalDit& dit, Ops& ops);

// dit_stream_* and dit_sequential_*: a whole stream with its ring traces.
Comparison check_stream(const GoldenSet& set, const std::string& name, CausalDit& dit, Ops& ops);

// wan_vae_*: encoder and decoder call by call.
Comparison check_wan_vae(const GoldenSet& set, const std::string& name, Ops& ops);

// taehv_*: the small autoencoder as a stream, and the way StreamDiffusionV2
// drives it.
Comparison check_taehv(const GoldenSet& set, const std::string& name, Ops& ops);

// umt5_*: position buckets and embeddings.
Comparison check_umt5(const GoldenSet& set, const std::string& name, Ops& ops);

// pipeline_*: pixels through all networks to pixels.
Comparison check_pipeline(const GoldenSet& set, const std::string& name, CausalDit& dit, Ops& ops);

}  // namespace driftless
