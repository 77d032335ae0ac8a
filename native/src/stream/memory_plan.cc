#include "stream/memory_plan.h"

#include <algorithm>
#include <cstdio>

#include "core/error.h"
#include "models/weight_count.h"
#include "stream/prompt_bank.h"
#include "stream/session.h"

namespace driftless {

namespace {

// The largest tensors of a forward: residual stream, its norm, queries, keys, values and the feed
// forward's inside, beside the patches that go in and come out; and one layer's keys, rotated, with
// its values where the ring's are narrower.
size_t row_bytes(const ModelConfig& config) {
  const DitConfig& dit = config.dit;
  const int64_t pixels = dit.patch * dit.patch;
  const int64_t tokens = config.most_latents() / pixels;
  return static_cast<size_t>(
             tokens * (5 * dit.dim + dit.ffn + (dit.in_channels + dit.out_channels) * pixels)) *
             sizeof(float) +
         (dit.ring_dtype == DType::e4m3 ? 2 : 1) *
             static_cast<size_t>(config.schedule.kv_frames * tokens * dit.dim) *
             dtype_size(dit.kv_dtype);
}

// Chunks that fill, wait, are in work and come out, each with the camera's luma, whose longer side
// is up to 2.5 times the model's.
size_t pixel_bytes(const ModelConfig& config) {
  constexpr double kChunks = 6;
  const double longest = 2.5 * std::max(config.width, config.height);
  double most = 0;
  for (const PictureSize& size : config.sizes()) {
    const double scale = longest / std::max(size.width, size.height);
    most = std::max(most, (3 + scale * scale) * size.area());
  }
  return static_cast<size_t>(kChunks * config.frames_per_chunk * most);
}

void check(const std::string& what, const MemoryPlan& plan, size_t used, size_t needed,
           const std::string& parts) {
  if (plan.limit == 0 || used + needed <= plan.limit) return;
  const size_t free = plan.limit > used ? plan.limit - used : 0;
  throw Error(
      what,
      "at most " + mebibytes(free) + ", what is free of the limit of " + mebibytes(plan.limit),
      "a need of " + mebibytes(needed) + parts);
}

}  // namespace

std::string mebibytes(size_t bytes) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
  return text;
}

std::vector<std::pair<std::string, size_t>> SessionBytes::parts() const {
  std::vector<std::pair<std::string, size_t>> parts = {
      {"rings", rings},     {"latents", latents}, {"prompt", prompt}, {"history", history},
      {"picture", picture}, {"scaled", scaled},   {"codec", codec},   {"pixels", pixels}};
  std::stable_sort(parts.begin(), parts.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return parts;
}

size_t MemoryPlan::total(size_t sessions, size_t prompts) const {
  return weights + encoder + sessions * rows.steps * row + prompts * prompt +
         sessions * session.sum();
}

void MemoryPlan::admit(size_t sessions, size_t prompts, size_t new_prompts) const {
  const size_t used = total(sessions, prompts);
  const size_t needed = total(sessions + 1, prompts + new_prompts) - used;
  auto parts = session.parts();
  parts.resize(2);
  parts.emplace_back("rows at work", rows.steps * row);
  std::string text;
  for (const auto& [name, bytes] : parts) {
    text += (text.empty() ? " (" : ", ") + name + " " + mebibytes(bytes);
  }
  text += "; weights hold " + mebibytes(weights + encoder) + ", " + std::to_string(sessions) +
          " other sessions " + mebibytes(used - weights - encoder) + ")";
  check("memory of a session", *this, used, needed, text);
}

void MemoryPlan::admit_prompt(size_t sessions, size_t prompts) const {
  check("memory of a prompt", *this, total(sessions, prompts), prompt, "");
}

MemoryPlan plan_memory(const ModelConfig& config, int max_steps, size_t limit_bytes,
                       bool keep_encoder, size_t depth, bool on_device) {
  const int most = static_cast<int>(config.schedule.steps.size());
  DL_CHECK(max_steps >= 1 && max_steps <= most, "max steps", "1 to " + std::to_string(most),
           max_steps);
  MemoryPlan plan;
  plan.rows = {static_cast<size_t>(max_steps), depth};
  plan.limit = limit_bytes;
  plan.weights =
      (dit_weight_values(config.dit) + codec_weight_values(config.autoencoder)) * sizeof(float);
  if (const auto* hashed = std::get_if<HashedPromptConfig>(&config.prompt)) {
    plan.weights += prompt_weight_values(*hashed) * sizeof(float);
  } else {
    const Umt5Config& umt5 = std::get<Umt5PromptConfig>(config.prompt).network;
    plan.encoder = prompt_weight_values(umt5, keep_encoder) * sizeof(float);
  }
  plan.row = row_bytes(config);
  plan.prompt = PromptBank::bytes(config.dit);
  plan.session = Session::bytes(config, plan.rows);
  if (on_device) plan.session.pixels = pixel_bytes(config);
  return plan;
}

}  // namespace driftless
