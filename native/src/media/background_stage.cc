#include "media/background_stage.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <string>
#include <utility>

#include "core/error.h"
#include "media/ffmpeg_support.h"

extern "C" {
#include <libswscale/swscale.h>
}

namespace driftless {
namespace {

// The model paints a rim like that of a sheet of paper around some styles; it is cut off.
constexpr int kRimX = 8, kRimY = 6;

struct Window {
  int x = 0, y = 0, width = 0, height = 0;
};

/// The largest centred part of a scene that has the picture's shape; even, for its chroma.
Window fitting(int width, int height, int to_width, int to_height) {
  Window part{kRimX, kRimY, width - 2 * kRimX, height - 2 * kRimY};
  if (int64_t{part.width} * to_height > int64_t{part.height} * to_width) {
    const int narrow = std::max(2, part.height * to_width / to_height);
    part.x += (part.width - narrow) / 2;
    part.width = narrow;
  } else {
    const int low = std::max(2, part.width * to_height / to_width);
    part.y += (part.height - low) / 2;
    part.height = low;
  }
  for (int* value : {&part.x, &part.y, &part.width, &part.height}) *value = *value / 2 * 2;
  return part;
}

}  // namespace

/// A swscale context and what it was made for.
struct BackgroundStage::Scaler {
  SwsContext* context = nullptr;
  int from_width = 0, from_height = 0, format = -1, range = -1, space = -1, width = 0, height = 0;

  ~Scaler() { sws_freeContext(context); }

  void prepare(const AVFrame& from, int source_width, int source_height, const AVFrame& to) {
    if (context && source_width == from_width && source_height == from_height &&
        from.format == format && from.color_range == range && from.colorspace == space &&
        to.width == width && to.height == height) {
      return;
    }
    sws_freeContext(context);
    context = sws_getContext(source_width, source_height, static_cast<AVPixelFormat>(from.format),
                             to.width, to.height, AV_PIX_FMT_YUV420P, SWS_BILINEAR, nullptr,
                             nullptr, nullptr);
    if (!context) {
      throw Error("picture to scale", "a size and format that swscale knows",
                  std::to_string(source_width) + "x" + std::to_string(source_height) +
                      " in format " + std::to_string(from.format));
    }
    from_width = source_width;
    from_height = source_height;
    format = from.format;
    range = from.color_range;
    space = from.colorspace;
    width = to.width;
    height = to.height;
    const bool full = is_full_range(from) || format == AV_PIX_FMT_RGB24;
    const int* coefficients =
        sws_getCoefficients(from.colorspace == AVCOL_SPC_BT709 ? SWS_CS_ITU709 : SWS_CS_ITU601);
    sws_setColorspaceDetails(context, coefficients, full ? 1 : 0,
                             sws_getCoefficients(SWS_CS_ITU601), 0, 0, 1 << 16, 1 << 16);
  }

  void run(const AVFrame& from, const uint8_t* const planes[4], int rows, AVFrame& to) {
    sws_scale(context, planes, from.linesize, 0, rows, to.data, to.linesize);
  }
};

BackgroundStage::BackgroundStage(std::shared_ptr<const MatteModels> models, const ModelInfo& model,
                                 ChunkSink sink, SceneInbox& inbox)
    : sink_(std::move(sink)),
      matte_(std::move(models)),
      feed_(model, inbox),
      camera_scaler_(std::make_unique<Scaler>()),
      scene_scaler_(std::make_unique<Scaler>()),
      blur_scaler_(std::make_unique<Scaler>()) {
  blur_rgb_ = make_frame();
  blur_rgb_->width = RoomBlur::kWidth;
  blur_rgb_->height = RoomBlur::kHeight;
  blur_rgb_->format = AV_PIX_FMT_RGB24;
  const int code = av_frame_get_buffer(blur_rgb_.get(), 0);
  if (code < 0) throw Error("blurred room", "memory for it", av_error_text(code));
}

BackgroundStage::~BackgroundStage() = default;

void BackgroundStage::set(const Transform& transform, uint64_t revision) {
  transform_ = transform;
  const TransformSettings& settings = transform.settings;
  // With a blurred room the scene is only what shows when the matte fails.
  const bool repaint =
      !transform.background.blur && transform.background.repaint && settings.strength > 0;
  const SceneKind kind = transform.background.blur    ? SceneKind::kGradient
                         : transform.background.scene ? *transform.background.scene
                                                      : scene_for_prompt(settings.prompt);
  feed_.set(kind, settings.seed, repaint, revision);
}

const AVFrame& BackgroundStage::normal(const AVFrame& camera) {
  int width = camera.width, height = camera.height;
  if (width > kMaxWidth || height > kMaxHeight) {
    const double factor =
        std::min(static_cast<double>(kMaxWidth) / width, static_cast<double>(kMaxHeight) / height);
    width = static_cast<int>(width * factor);
    height = static_cast<int>(height * factor);
  }
  width = std::max(16, width / 2 * 2);
  height = std::max(16, height / 2 * 2);
  const bool as_it_is = width == camera.width && height == camera.height &&
                        camera.format == AV_PIX_FMT_YUV420P && !is_full_range(camera) &&
                        camera.colorspace != AVCOL_SPC_BT709;
  if (as_it_is) return camera;
  if (!normal_ || normal_->width != width || normal_->height != height) {
    normal_ = make_yuv_frame(width, height);
  }
  camera_scaler_->prepare(camera, camera.width, camera.height, *normal_);
  camera_scaler_->run(camera, camera.data, camera.height, *normal_);
  return *normal_;
}

void BackgroundStage::draw_scene(double now_ms, bool room, AVFrame& out) {
  if (room) {
    const uint8_t* rgb = blur_.update(matte_.small_rgb(), matte_.refiner());
    const size_t row = static_cast<size_t>(RoomBlur::kWidth) * 3;
    for (int y = 0; y < RoomBlur::kHeight; ++y) {
      std::memcpy(blur_rgb_->data[0] + static_cast<ptrdiff_t>(y) * blur_rgb_->linesize[0],
                  rgb + row * y, row);
    }
    blur_scaler_->prepare(*blur_rgb_, RoomBlur::kWidth, RoomBlur::kHeight, out);
    blur_scaler_->run(*blur_rgb_, blur_rgb_->data, RoomBlur::kHeight, out);
    return;
  }
  const AVFrame& scene = feed_.picture(now_ms);
  const Window part = fitting(scene.width, scene.height, out.width, out.height);
  const uint8_t* planes[4] = {};
  for (int plane = 0; plane < 3; ++plane) {
    const int shift = plane == 0 ? 0 : 1;
    planes[plane] = scene.data[plane] +
                    static_cast<ptrdiff_t>(part.y >> shift) * scene.linesize[plane] +
                    (part.x >> shift);
  }
  scene_scaler_->prepare(scene, part.width, part.height, out);
  scene_scaler_->run(scene, planes, part.height, out);
}

AvFramePtr BackgroundStage::compose(const AVFrame& camera, double capture_ms,
                                    std::string& problem) {
  if (std::optional<Chunk> chunk = feed_.advance(capture_ms)) sink_(std::move(*chunk));
  const AVFrame& picture = normal(camera);
  bool cut = false;
  try {
    matte_.update(picture, capture_ms);
    cut = true;
  } catch (const std::exception& error) {
    problem = error.what();
    blur_.reset();
  }
  AvFramePtr out = make_yuv_frame(picture.width, picture.height);
  draw_scene(capture_ms, cut && transform_.background.blur, *out);
  if (cut && matte_.opacity() > 0) {
    compositor_.compose(picture, *out, matte_.alpha(), matte_.refiner(), matte_.opacity(), *out);
  }
  return out;
}

}  // namespace driftless
