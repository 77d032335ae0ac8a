#pragma once

// A folder of golden vectors: manifest.json, weights and cases as safetensors.

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/json.h"
#include "core/safetensors.h"
#include "models/causal_dit.h"
#include "ops/ops.h"

namespace driftless {

// One case's tensors. It remembers which were used, so that a case in which
// something was never looked at does not pass.
class GoldenCase {
 public:
  // Checks every tensor that the manifest lists: present, same shape, same
  // type.
  GoldenCase(const std::string& path, const Json& manifest_entry, const std::string& where);

  const Json& config() const { return config_; }
  const std::string& where() const { return where_; }
  bool has(const std::string& name) const { return file_.has(name); }

  Tensor floats(const std::string& name);  // widened to f32
  Tensor integers(const std::string& name);
  std::vector<uint8_t> bytes(const std::string& name);
  // [n, c, h, w] as the file has it -> [n, h, w, c].
  Tensor images(const std::string& name, Ops& ops);
  Shape shape(const std::string& name) const { return file_.entry(name).shape; }

  // Names that start with `prefix`.
  std::vector<std::string> names(const std::string& prefix) const;
  std::vector<std::string> unused() const;

 private:
  SafeTensors file_;
  Json config_;
  std::string where_;
  std::set<std::string> used_;
  Arena arena_;
};

class GoldenSet {
 public:
  // Throws Error when the folder or its manifest is missing or broken.
  explicit GoldenSet(const std::string& dir);

  // Base names of the files present, without weights; "schedule" stands for
  // schedule.json.
  const std::vector<std::string>& cases() const { return cases_; }
  // Weight files present.
  const std::vector<std::string>& weights() const { return weights_; }
  std::string path(const std::string& file) const { return dir_ + "/" + file; }
  // The manifest's entry of a file; throws Error when there is none.
  const Json& entry(const std::string& name) const;

  std::unique_ptr<GoldenCase> open(const std::string& name) const;
  // The manifest's sizes of a network; throws Error when there are none.
  const Json& model(const std::string& name) const;
  // The transformer of dit_weights.safetensors at the manifest's sizes.
  std::unique_ptr<CausalDit> load_dit(Ops& ops) const;
  // Shift and length of the sigma table.
  double shift() const;
  int schedule_entries() const;

 private:
  std::string dir_;
  Json manifest_;
  std::vector<std::string> cases_, weights_;
};

}  // namespace driftless
