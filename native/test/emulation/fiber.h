#pragma once

#include <cstddef>
#include <memory>

namespace driftless {
namespace emulation {

/// A function with a stack of its own, run a piece at a time on the caller's thread. x86-64 only:
/// a switch costs a few nanoseconds, which the system's swapcontext (a system call) does not.
class Fiber {
 public:
  using Entry = void (*)(void* argument);

  Fiber();
  ~Fiber();
  Fiber(Fiber&&) noexcept;

  /// Makes the next resume() call entry(argument) from the start. The entry may not return and may
  /// not let an exception out: its last act is a suspend().
  void restart(Entry entry, void* argument);
  /// Runs the fiber until its next suspend(). Throws Error when it has overrun its stack.
  void resume();
  /// Called inside the fiber: goes back to the caller of resume().
  void suspend();

 private:
  struct Stack;
  std::unique_ptr<Stack> stack_;
  void* context_ = nullptr;
  void* resumer_ = nullptr;
};

}  // namespace emulation
}  // namespace driftless
