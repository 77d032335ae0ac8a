#include "media/scene.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "core/error.h"
#include "media/scene_shading.h"

namespace driftless {
namespace {

struct Entry {
  SceneKind kind;
  const char* name;
  scenes::Shader shader;
  const char* words;  // that lead to it, each between spaces
};

// In the order of SceneKind.
const std::array<Entry, kSceneKinds> kScenes{{
    {SceneKind::kGradient, "gradient", scenes::gradient,
     " gradient abstract plain calm soft colours colors simple minimal blurred "},
    {SceneKind::kBeach, "beach", scenes::beach,
     " beach sea ocean seaside shore coast sunset sand waves tropical island palm sundown "},
    {SceneKind::kForest, "forest", scenes::forest,
     " forest wood woods woodland trees tree jungle woodsy glade leaves ferns "},
    {SceneKind::kCity, "city", scenes::city,
     " city skyline downtown urban street night bokeh skyscrapers neon town metropolis "},
    {SceneKind::kMountains, "mountains", scenes::mountains,
     " mountain mountains snow snowy alps peak peaks winter ski hills glacier summit "},
    {SceneKind::kLibrary, "library", scenes::library,
     " library books bookshelf bookshelves shelves cosy cozy reading study bookcase fireplace "},
    {SceneKind::kSpace, "space", scenes::space,
     " space nebula galaxy stars cosmos cosmic universe planet starfield astronaut milky orbit "},
    {SceneKind::kAurora, "aurora", scenes::aurora,
     " aurora northern borealis polar arctic iceland lapland "},
    {SceneKind::kOffice, "office", scenes::office,
     " office desk workplace workspace meeting loft window business studio work "},
    {SceneKind::kGarden, "garden", scenes::garden,
     " garden spring flowers flower blossom blossoms meadow park tulips lawn cherry "},
    {SceneKind::kUnderwater, "underwater", scenes::underwater,
     " underwater reef coral aquarium diving bubbles seabed submarine fish kelp "},
}};

}  // namespace

const char* scene_name(SceneKind kind) { return kScenes[static_cast<size_t>(kind)].name; }

std::optional<SceneKind> parse_scene(const std::string& name) {
  for (const Entry& entry : kScenes) {
    if (name == entry.name) return entry.kind;
  }
  return std::nullopt;
}

SceneKind scene_for_prompt(const std::string& prompt) {
  std::array<int, kSceneKinds> votes{};
  std::string word;
  const auto count = [&] {
    if (word.size() < 3) return word.clear();
    for (const Entry& entry : kScenes) {
      const auto kind = static_cast<size_t>(entry.kind);
      // The scene's own name counts for more than a word that only hints at it.
      if (word == entry.name) votes[kind] += 2;
      if (std::string(entry.words).find(" " + word + " ") != std::string::npos) ++votes[kind];
    }
    word.clear();
  };
  for (const char letter : prompt) {
    const auto byte = static_cast<unsigned char>(letter);
    if (std::isalpha(byte) != 0) {
      word += static_cast<char>(std::tolower(byte));
    } else {
      count();
    }
  }
  count();
  const auto best = std::max_element(votes.begin(), votes.end());
  return *best == 0 ? SceneKind::kGradient : static_cast<SceneKind>(best - votes.begin());
}

SceneRenderer::SceneRenderer(SceneKind kind, uint64_t seed, int width, int height)
    : kind_(kind),
      seed_(scenes::hash(static_cast<uint32_t>(seed ^ seed >> 32) + 1)),
      width_(width),
      height_(height) {
  if (width < 2 || height < 2) {
    throw Error("scene size", "at least 2x2", std::to_string(width) + "x" + std::to_string(height));
  }
}

SceneRenderer::~SceneRenderer() = default;

void SceneRenderer::render(double seconds, uint8_t* rgb) {
  scenes::View view;
  view.t = static_cast<float>(seconds);
  view.aspect = static_cast<float>(width_) / static_cast<float>(height_);
  view.seed = seed_;
  const scenes::Shader shader = kScenes[static_cast<size_t>(kind_)].shader;
  const float step = 1.0f / static_cast<float>(height_);
  for (int y = 0; y < height_; ++y) {
    for (int x = 0; x < width_; ++x) {
      const scenes::Colour colour = shader(view, (static_cast<float>(x) + 0.5f) * step,
                                           (static_cast<float>(y) + 0.5f) * step);
      for (const float channel : {colour.r, colour.g, colour.b}) {
        *rgb++ = static_cast<uint8_t>(255.0f * scenes::clamp01(channel) + 0.5f);
      }
    }
  }
}

}  // namespace driftless
