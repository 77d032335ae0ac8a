#include "media/background_stage.h"

#include <algorithm>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "media/ffmpeg_support.h"

namespace driftless {
namespace {

// The model paints a rim like that of a sheet of paper around some styles; it is cut off.
constexpr int kRimX = 8, kRimY = 6;
// Of a picture in one colour, before it is enlarged.
constexpr int kFlatSize = 16;

/// The largest centred part of a scene that has the picture's shape; even, for its chroma.
PicturePart fitting(int width, int height, const PictureSize& to) {
  PicturePart part{kRimX, kRimY, width - 2 * kRimX, height - 2 * kRimY};
  if (int64_t{part.width} * to.height > int64_t{part.height} * to.width) {
    const int narrow = std::max(2, part.height * to.width / to.height);
    part.x += (part.width - narrow) / 2;
    part.width = narrow;
  } else {
    const int low = std::max(2, part.width * to.height / to.width);
    part.y += (part.height - low) / 2;
    part.height = low;
  }
  for (int* value : {&part.x, &part.y, &part.width, &part.height}) *value = *value / 2 * 2;
  return part;
}

}  // namespace

BackgroundStage::BackgroundStage(std::shared_ptr<const MatteModels> models,
                                 std::shared_ptr<VideoOps> video, const ModelInfo& model,
                                 ChunkSink sink, SceneInbox& inbox)
    : sink_(std::move(sink)),
      canvas_(BackgroundCanvas::make(std::move(models), std::move(video))),
      blurred_(RoomBlur::kWidth, RoomBlur::kHeight),
      flat_(kFlatSize, kFlatSize),
      feed_(model, inbox) {}

void BackgroundStage::set(const Transform& transform, uint64_t revision) {
  transform_ = transform;
  const TransformSettings& settings = transform.settings;
  const BackgroundChoice& choice = transform.background;
  const bool alone = transform.mode == TransformMode::kBackground;
  std::optional<FlatColour> colour = choice.colour;
  // In a restyle the prompt says how to paint, not where somebody is.
  if (!alone && !choice.scene && !colour) colour = BackgroundChoice::kPlain;
  plain_ = nullptr;
  if (colour && !choice.blur) {
    std::vector<uint8_t> rgb;
    for (int i = 0; i < kFlatSize * kFlatSize; ++i) {
      rgb.insert(rgb.end(), {colour->red, colour->green, colour->blue});
    }
    plain_ = &flat_.to_yuv(rgb.data());
  }
  // With a blurred room the scene is only what shows when the matte fails.
  const bool drawn = !choice.blur && plain_ == nullptr;
  const bool repaint = alone && drawn && choice.repaint && settings.strength > 0;
  const SceneKind kind = !drawn         ? SceneKind::kGradient
                         : choice.scene ? *choice.scene
                                        : scene_for_prompt(settings.prompt);
  feed_.set(kind, settings.seed, repaint, revision);
}

ComposedPicture BackgroundStage::compose(const AVFrame& camera, double capture_ms,
                                         std::string& problem) {
  feed_.fit({camera.width, camera.height});
  if (plain_ == nullptr) {
    if (std::optional<Chunk> chunk = feed_.advance(capture_ms)) sink_(std::move(*chunk));
  }
  canvas_->take(camera);
  bool cut = false;
  try {
    canvas_->cut(capture_ms);
    cut = true;
  } catch (const DeviceLost&) {
    throw;
  } catch (const std::exception& error) {
    problem = error.what();
    blur_.reset();
  }
  const float opacity = cut ? canvas_->person().opacity() : 0;
  if (cut && transform_.background.blur) {
    const AVFrame& room =
        blurred_.to_yuv(blur_.update(canvas_->small_rgb(), canvas_->person().refiner()));
    return canvas_->compose(room, {0, 0, room.width, room.height}, opacity);
  }
  if (plain_ != nullptr) return canvas_->compose(*plain_, {0, 0, kFlatSize, kFlatSize}, opacity);
  const AVFrame& scene = feed_.picture(capture_ms);
  return canvas_->compose(scene, fitting(scene.width, scene.height, canvas_->size()), opacity);
}

}  // namespace driftless
