#include "emulation/fiber.h"

#include <cstdint>

#include "core/error.h"

#if !defined(__x86_64__)
#error "The CUDA emulation switches stacks with x86-64 code only."
#endif

// Saves the callee-saved registers on the stack that is left and takes them from the other one.
extern "C" void driftless_fiber_switch(void** save, void* to);
asm(R"(
.text
.globl driftless_fiber_switch
.type driftless_fiber_switch, @function
driftless_fiber_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.globl driftless_fiber_start
.type driftless_fiber_start, @function
driftless_fiber_start:
  movq %r12, %rdi
  callq *%r13
  ud2
.section .note.GNU-stack,"",@progbits
.text
)");
extern "C" void driftless_fiber_start();

namespace driftless {
namespace emulation {

struct Fiber::Stack {
  static constexpr size_t kBytes = 64 << 10;
  static constexpr uint64_t kCanary = 0x5ca1ab1e0ddba11ull;
  alignas(64) uint64_t words[kBytes / sizeof(uint64_t)];
};

Fiber::Fiber() : stack_(new Stack) { stack_->words[0] = Stack::kCanary; }
Fiber::~Fiber() = default;
Fiber::Fiber(Fiber&&) noexcept = default;

void Fiber::restart(Entry entry, void* argument) {
  constexpr size_t kWords = Stack::kBytes / sizeof(uint64_t);
  // From the top: padding that keeps calls 16-byte aligned, the return address, six registers.
  uint64_t* top = stack_->words + kWords - 2;
  *--top = reinterpret_cast<uint64_t>(&driftless_fiber_start);
  *--top = 0;                                     // rbp
  *--top = 0;                                     // rbx
  *--top = reinterpret_cast<uint64_t>(argument);  // r12
  *--top = reinterpret_cast<uint64_t>(entry);     // r13
  *--top = 0;                                     // r14
  *--top = 0;                                     // r15
  context_ = top;
}

void Fiber::resume() {
  driftless_fiber_switch(&resumer_, context_);
  DL_CHECK(stack_->words[0] == Stack::kCanary, "stack of an emulated thread",
           "at most " + std::to_string(Stack::kBytes) + " bytes in use", "more");
}

void Fiber::suspend() { driftless_fiber_switch(&context_, resumer_); }

}  // namespace emulation
}  // namespace driftless
