#pragma once

namespace driftless {

/// Says whether somebody is in the picture, so that furniture that a network takes for a person for
/// a moment does not flicker in. Closed for the first second: before the matte has seen somebody
/// from several sides a little of the room can pass for a person.
class PresenceGate {
 public:
  static constexpr float kArrives = 0.012f;  ///< Share of the picture that counts as somebody.
  static constexpr float kLeaves = 0.006f;   ///< Below this there is nobody.
  static constexpr double kArriveMs = 60;    ///< So long it must last.
  static constexpr double kLeaveMs = 400;
  static constexpr double kFadeMs = 150;
  static constexpr double kFirstMs = 1000;  ///< Nobody is shown so long after the start.

  /// area: of the person in this frame, 0 to 1. capture_ms: when it was taken; a step back or a
  /// gap of more than a second starts anew with nobody.
  void update(float area, double capture_ms) {
    const double step = capture_ms - last_ms_;
    last_ms_ = capture_ms;
    if (!started_ || step < 0 || step > 1000) {
      started_ = true;
      present_ = false;
      opacity_ = 0;
      since_ms_ = start_ms_ = capture_ms;
      return;
    }
    const bool opposite = present_ ? area < kLeaves : area > kArrives;
    if (!opposite) since_ms_ = capture_ms;
    if (opposite && capture_ms - since_ms_ >= (present_ ? kLeaveMs : kArriveMs)) {
      present_ = !present_;
      since_ms_ = capture_ms;
    }
    const auto change = static_cast<float>(step / kFadeMs);
    const bool shown = present_ && capture_ms - start_ms_ > kFirstMs;
    opacity_ = shown ? opacity_ + change : opacity_ - change;
    opacity_ = opacity_ < 0 ? 0 : opacity_ > 1 ? 1 : opacity_;
  }

  bool present() const { return present_; }
  float opacity() const { return opacity_; }

 private:
  bool started_ = false, present_ = false;
  float opacity_ = 0;
  double last_ms_ = 0, since_ms_ = 0, start_ms_ = 0;
};

}  // namespace driftless
