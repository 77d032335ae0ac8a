// Devices that wait for each other by themselves: what marks and follow() promise, on the emulated
// GPUs, where nothing is done before somebody waits for it.

#include "emulated_cuda.h"
#include "ops_test_support.h"

namespace driftless {
namespace {

class CudaMarks : public testing::Test {
 protected:
  CudaMarks() {
    emulation::machine().devices = 2;
    CudaOptions options;
    first_ = make_cuda_ops(options);
    options.device = 1;
    second_ = make_cuda_ops(options);
    x_ = device_.tensor({8});
    y_ = device_.tensor({8});
    first_->clear(x_);
    first_->wait();
  }

  // Writes on the first device, and lets the second one copy; the host waits for the latter alone.
  float copied(bool follows) {
    const std::unique_ptr<Mark> mark = first_->make_mark();
    first_->affine_channels(x_, {}, one(), x_);
    mark->set();
    first_->affine_channels(x_, {}, one(), x_);
    if (follows) second_->follow(*mark);
    second_->copy(x_, y_);
    return first(*second_, y_);
  }
  Tensor one() {
    if (one_.present()) return one_;
    const Tensor host = host_.tensor({8});
    std::fill_n(host.f32(), 8, 1.0f);
    one_ = device_.tensor({8});
    first_->copy(host, one_);
    first_->wait();
    return one_;
  }
  float first(Ops& ops, const Tensor& there) {
    const Tensor host = host_.tensor({8});
    ops.copy(there, host);
    return host.f32()[0];
  }

  EmulatedCuda cuda_;
  std::unique_ptr<Ops> first_, second_;
  Arena host_, device_{size_t{1} << 16, 0, cuda_memory()};
  Tensor x_, y_, one_;
};

TEST_F(CudaMarks, ADeviceThatFollowsSeesWhatTheMarkWasSetBehind) {
  one();
  EXPECT_EQ(0, copied(false)) << "nobody waited for the first device";
  first_->wait();
  first_->clear(x_);
  first_->wait();
  EXPECT_EQ(1, copied(true)) << "as far as the mark, and no further";
  first_->wait();
  EXPECT_EQ(2, first(*first_, x_));
}

TEST_F(CudaMarks, SayHowLongTheDeviceTookOnceTheyHaveBeenPassed) {
  const auto began = first_->make_mark(), ended = first_->make_mark();
  began->set();
  first_->axpby(1, x_, 1, x_, y_);
  ended->set();
  EXPECT_THROW(ended->ms_since(*began), Error);
  ended->wait();
  EXPECT_GT(ended->ms_since(*began), 0);
}

TEST_F(CudaMarks, OneThatWasNeverSetHoldsNobodyUp) {
  const auto mark = first_->make_mark();
  mark->wait();
  second_->follow(*mark);
  second_->clear(y_);
  EXPECT_EQ(0, first(*second_, y_));
}

TEST_F(CudaMarks, TheProcessorIsDoneWhenACallReturns) {
  const auto host = make_ops("cpu");
  const auto mark = host->make_mark(), there = first_->make_mark();
  mark->set();
  first_->follow(*mark);
  // The other way round the host has to wait.
  first_->affine_channels(x_, {}, one(), x_);
  there->set();
  host->follow(*there);
  second_->copy(x_, y_);
  EXPECT_EQ(1, first(*second_, y_));
}

TEST_F(CudaMarks, ALostDeviceIsNotWaitedFor) {
  const auto mark = first_->make_mark();
  mark->set();
  emulation::machine().lost = cudaErrorIllegalAddress;
  EXPECT_THROW(mark->wait(), DeviceLost);
  EXPECT_THROW(second_->follow(*mark), DeviceLost);
}

}  // namespace
}  // namespace driftless
