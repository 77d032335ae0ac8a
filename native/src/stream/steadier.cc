#include "stream/steadier.h"

namespace driftless {

Steadier::Steadier(Ops& ops, Arena& arena, int width, int height, double hold)
    : ops_(ops),
      least_(static_cast<float>(1 - hold)),
      shown_(arena.tensor({height, width, 3, 2}, DType::u8)) {}

size_t Steadier::bytes(int width, int height) {
  return Arena::rounded(6 * static_cast<size_t>(width) * static_cast<size_t>(height));
}

Shape Steadier::motion_shape(int frames, int width, int height) {
  return {frames, motion_blocks(height), motion_blocks(width)};
}

void Steadier::apply(const Tensor& frames, const Tensor& motion, bool another_look) {
  const auto hold = [&](int64_t from, int64_t to, bool anew) {
    if (from == to) return;
    ops_.hold_still(motion.slice(from, to), least_, anew, shown_, frames.slice(from, to));
  };
  const int64_t count = frames.dim(0), first = begun_ ? 0 : 1;
  begun_ = true;
  if (another_look) return hold(0, count, true);
  hold(0, first, true);
  hold(first, count, false);
}

}  // namespace driftless
