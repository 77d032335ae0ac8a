#pragma once

// The sizes of a network, read off the shapes of its published checkpoint. What shapes cannot tell
// is left as the networks' configurations have it and said here.

#include <cstdint>
#include <vector>

#include "core/tensor_file.h"
#include "models/causal_dit.h"
#include "models/codec_config.h"
#include "models/umt5.h"

namespace driftless {

// Wan's causal transformer. Not told by shapes: head_dim (128 in all of Wan's models) and text_len
// (512). Throws Error naming the key that is missing or that nothing fits.
DitConfig dit_config_of(const TensorFile& file, int64_t head_dim = 128, int64_t text_len = 512);

// Wan's UMT5 encoder. Not told: max_distance, eps.
Umt5Config umt5_config_of(const TensorFile& file);

// Wan2.1's autoencoder, or TAEHV in madebyollin's layout; told apart by their keys. The latent
// statistics are Wan2.1's own for the former; TAEHV works on normalised latents and has none.
CodecConfig codec_config_of(const TensorFile& file);

// madebyollin/taehv for Wan2.1: one width for the encoder, four for the decoder's stages.
AutoencoderConfig taehv_config(int64_t encoder_width, const std::vector<int64_t>& decoder_widths,
                               int64_t latent_channels);

}  // namespace driftless
