#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace driftless {

/// The backgrounds that can be drawn without a camera.
enum class SceneKind {
  kGradient,  // abstract; also what words that name no scene lead to
  kBeach,
  kForest,
  kCity,
  kMountains,
  kLibrary,
  kSpace,
  kAurora,
  kOffice,
  kGarden,
  kUnderwater,
};
constexpr int kSceneKinds = 11;

/// "gradient", "beach", …: the words of the API.
const char* scene_name(SceneKind kind);
std::optional<SceneKind> parse_scene(const std::string& name);

/// The scene whose words occur most often in the prompt (English, any case); kGradient when none
/// does.
SceneKind scene_for_prompt(const std::string& prompt);

/// Draws one scene: a pure function of kind, seed and time. Not thread-safe.
class SceneRenderer {
 public:
  /// width, height: pixels, at least 2x2. Throws driftless::Error below.
  SceneRenderer(SceneKind kind, uint64_t seed, int width, int height);
  ~SceneRenderer();

  SceneKind kind() const { return kind_; }

  /// seconds: any time; neighbouring ones give neighbouring pictures. rgb: height x width x 3.
  void render(double seconds, uint8_t* rgb);

 private:
  const SceneKind kind_;
  const uint32_t seed_;
  const int width_, height_;
};

}  // namespace driftless
