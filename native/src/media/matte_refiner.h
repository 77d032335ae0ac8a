#pragma once

#include <cstdint>
#include <vector>

namespace driftless {

/// What the refinement does with a network's mask. Where it is unsure, background wins.
struct MatteTuning {
  /// The mask is stretched so that `low` becomes 0 and `high` 1, smoothly.
  float low = 0.5f, high = 0.95f;
  /// Weight of a new mask where nothing moves, where the mask goes back, and where things move.
  float still = 0.4f, retreat = 0.7f, moving = 1.0f;
  /// Change of brightness (0 to 1) that counts as no motion, and as full motion.
  float motion_low = 0.015f, motion_high = 0.06f;
  /// A patch of person is kept from this share of the picture and of the largest patch on.
  float island_area = 0.004f, island_share = 0.2f;
  /// Guided filter: radius in mask pixels, and the variance below which an edge counts as none.
  int radius = 3;
  float epsilon = 4e-4f;
};

/// Turns the masks of a segmentation network into steady mattes with crisp edges: blends over time
/// where the picture is still, stretches, removes stray islands, and follows the edges of the full
/// picture (guided filter: He et al., "Fast Guided Filter", arXiv:1505.00996). Pure arithmetic on
/// memory of its own; not thread-safe.
class MatteRefiner {
 public:
  /// width, height: of the masks, at least 8x8. Throws driftless::Error below.
  MatteRefiner(int width, int height, const MatteTuning& tuning = {});

  /// mask: height x width probabilities. rgb: the picture they were made from, same size.
  void update(const float* mask, const uint8_t* rgb);

  /// The matte of the last update() for a picture of any size. luma: its brightness, 8-bit limited
  /// range, `stride` bytes a line. alpha: picture_height x picture_width bytes, 255 is person.
  void upsample(const uint8_t* luma, int stride, int picture_width, int picture_height,
                uint8_t* alpha);

  /// Share of the picture that the last mask calls person with confidence, islands removed.
  float person_area() const { return person_area_; }

  /// What upsample() makes the matte of: alpha = slope * luma + offset, height x width floats each.
  const std::vector<float>& slope() const { return slope_; }
  const std::vector<float>& offset() const { return offset_; }

  /// The person's colour around each mask pixel, as 8-bit limited-range BT.601, without the room
  /// behind: what the rim of hair is painted with. height x width x 4 floats: Y, Cb, Cr, and how
  /// far inside the person the pixel lies (0 at the rim, 1 inside).
  const std::vector<float>& rim_colours() const { return rim_; }

  /// Share of a mask pixel that is person after stretching, height x width.
  const std::vector<float>& mask() const { return stretched_; }

  int width() const { return width_; }
  int height() const { return height_; }

  /// Forgets the past, after a gap in the stream.
  void reset() { started_ = false; }

 private:
  void blend_in(const float* mask);
  void remove_islands();
  void fit_edges();
  void find_rim_colours(const uint8_t* rgb);

  const int width_, height_;
  const MatteTuning tuning_;
  bool started_ = false;
  float person_area_ = 0;
  std::vector<float> luma_, last_luma_, motion_, blended_, stretched_;
  std::vector<float> slope_, offset_;  // alpha = slope * luma + offset
  std::vector<float> rim_;
  std::vector<float> work_[5], memory_;
  std::vector<int32_t> labels_, stack_;
  // Of upsample(): source column and weight of each picture column, and one line of the fit.
  std::vector<int32_t> columns_;
  std::vector<float> weights_, line_slope_, line_offset_;
};

/// Mean over a (2 radius + 1)^2 window, cut at the borders: in -> out, both height x width (out may
/// be in). memory: scratch that keeps its size from call to call.
void box_mean(const float* in, float* out, int width, int height, int radius,
              std::vector<float>& memory);

}  // namespace driftless
