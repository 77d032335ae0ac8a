#pragma once

#include <chrono>

namespace driftless {

/// A point in what an object of operations was given to do, see Ops::make_mark(). This one is of
/// operations that are done when their call returns.
class Mark {
 public:
  Mark() = default;
  virtual ~Mark() = default;
  Mark(const Mark&) = delete;
  Mark& operator=(const Mark&) = delete;

  /// Moves it here: after all that was started until now.
  virtual void set() { passed_ = std::chrono::steady_clock::now(); }
  /// Returns when it has been passed; at once where it was never set.
  virtual void wait() {}
  /// Milliseconds of the device from `earlier`, a mark of the same operations, to this one; both
  /// were set, and wait() has returned.
  virtual double ms_since(const Mark& earlier) const {
    return std::chrono::duration<double, std::milli>(passed_ - earlier.passed_).count();
  }

 private:
  std::chrono::steady_clock::time_point passed_;
};

}  // namespace driftless
