#pragma once

// The networks of a golden folder at the sizes that its manifest gives.

#include <memory>

#include "models/autoencoder.h"
#include "models/umt5.h"
#include "models/wan_vae.h"
#include "parity/golden_set.h"

namespace driftless {

std::unique_ptr<WanVae> load_wan_vae(const GoldenSet& set, Ops& ops);
std::unique_ptr<Umt5Encoder> load_umt5(const GoldenSet& set, Ops& ops);

// The public TAEHV layout (madebyollin/taehv): a width for the encoder, four
// for the decoder.
std::unique_ptr<Autoencoder> load_taehv(const GoldenSet& set, Ops& ops);

}  // namespace driftless
