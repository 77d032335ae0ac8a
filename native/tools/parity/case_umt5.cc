#include <vector>

#include "models/umt5.h"
#include "parity/cases.h"
#include "parity/model_loading.h"

namespace driftless {

namespace {

// Number of tokens that belong to the prompt: the mask is ones, then zeros.
int64_t prompt_length(const int32_t* mask, int64_t tokens) {
  int64_t length = 0;
  while (length < tokens && mask[length] != 0) ++length;
  return length;
}

// Encodes each prompt of "<prefix>_ids" and compares "<prefix>_embeds".
void check_prompts(GoldenCase& golden, const std::string& prefix, Umt5Encoder& encoder,
                   Comparison& out) {
  const Tensor ids = golden.integers(prefix + "_ids");
  const Tensor mask = golden.integers(prefix + "_mask");
  const Tensor expected = golden.floats(prefix + "_embeds");
  const std::string hidden_name = prefix + "_block0_out";
  const int64_t tokens = ids.dim(1), dim = encoder.config().dim;
  Arena arena;
  const Tensor embeddings = arena.tensor({tokens, dim});
  std::vector<float> all, hidden;
  for (int64_t i = 0; i < ids.dim(0); ++i) {
    const Umt5Encoder::Trace trace = [&](int64_t block, const Tensor& x) {
      if (block == 0) hidden.insert(hidden.end(), x.f32(), x.f32() + x.count());
    };
    encoder.encode(ids.at(i), prompt_length(mask.at(i).i32(), tokens), embeddings, trace);
    all.insert(all.end(), embeddings.f32(), embeddings.f32() + embeddings.count());
  }
  if (golden.has(hidden_name)) out.floats(hidden_name, golden.floats(hidden_name), hidden);
  out.floats(prefix + "_embeds", expected, all);
}

}  // namespace

Comparison check_umt5(const GoldenSet& set, const std::string& name, Ops& ops) {
  Comparison out(name);
  const std::unique_ptr<GoldenCase> golden = set.open(name);
  const std::unique_ptr<Umt5Encoder> encoder = load_umt5(set, ops);
  const Tensor positions = golden->integers("bucket_rel_pos");
  const Tensor buckets = golden->integers("bucket");
  for (int64_t i = 0; i < positions.count(); ++i) {
    out.integer("bucket", static_cast<size_t>(i), buckets.i32()[i],
                umt5_bucket(positions.i32()[i], encoder->config()));
  }
  for (const char* prefix : {"short", "long"}) check_prompts(*golden, prefix, *encoder, out);
  for (const std::string& unused : golden->unused()) out.fail(unused + ": was never compared");
  return out;
}

}  // namespace driftless
