#include "ops/cuda/nccl_links.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/error.h"
#include "ops/ops.h"

namespace driftless {
namespace cuda {

NcclLinks::NcclLinks(const nccl::Api& api, std::vector<Ops*> pipeline,
                     const std::vector<int>& devices)
    : api_(api), pipeline_(std::move(pipeline)) {
  DL_CHECK(devices.size() > 1, "ranks over NCCL", "at least 2", devices.size());
  for (size_t r = 0; r < devices.size(); ++r) {
    const auto end = devices.begin() + static_cast<std::ptrdiff_t>(r);
    DL_CHECK(std::find(devices.begin(), end, devices[r]) == end, "ranks over NCCL",
             "a GPU for each", "cuda:" + std::to_string(devices[r]) + " twice");
  }
  std::vector<nccl::Comm> comms(devices.size());
  check(api_.ncclCommInitAll(comms.data(), static_cast<int>(devices.size()), devices.data()),
        "ncclCommInitAll");
  comms_ = std::move(comms);
  for (size_t l = 0; l + 1 < devices.size(); ++l) {
    links_.push_back(std::make_unique<Link>(devices[l], devices[l + 1]));
  }
  // The first transfer between two connects them, for which each side waits for the other.
  std::vector<DeviceBuffer> bytes;
  for (const int device : devices) {
    use_device(device);
    bytes.emplace_back(2);
  }
  group([&] {
    for (size_t l = 0; l < links_.size(); ++l) {
      const auto* from = static_cast<const unsigned char*>(bytes[l].data());
      const int here = static_cast<int>(l);
      check(api_.ncclSend(from, 1, nccl::kUint8, here + 1, comms_[l], links_[l]->out.get()),
            "ncclSend");
      auto* to = static_cast<unsigned char*>(bytes[l + 1].data()) + 1;
      check(api_.ncclRecv(to, 1, nccl::kUint8, here, comms_[l + 1], links_[l]->in.get()),
            "ncclRecv");
    }
  });
  for (const auto& link : links_) {
    link->arrived.set();
    link->arrived.wait();
  }
}

NcclLinks::~NcclLinks() {
  links_.clear();  // Streams are awaited before they go.
  for (const nccl::Comm comm : comms_) api_.ncclCommDestroy(comm);
}

void NcclLinks::check(nccl::Result result, const char* what) const {
  if (result != 0) throw Error(what, "success", api_.ncclGetErrorString(result));
}

/// The operations that put() starts, as one.
template <typename Put>
void NcclLinks::group(const Put& put) const {
  check(api_.ncclGroupStart(), "ncclGroupStart");
  try {
    put();
  } catch (...) {
    api_.ncclGroupEnd();
    throw;
  }
  check(api_.ncclGroupEnd(), "ncclGroupEnd");
}

/// The parts of a parcel, as one.
template <typename Put>
void NcclLinks::transfer(const Put& put) const {
  try {
    group(put);
  } catch (const Error& error) {
    throw DeviceLost("tokens over NCCL", "both ends in step", error.what());
  }
}

void NcclLinks::send(size_t link, std::initializer_list<Sent> parcel, Mark& done) {
  const Stream& out = links_[link]->out;
  done.set();
  static_cast<const CudaMark&>(done).hold(out.get());
  transfer([&] {
    for (const auto& [from, to] : parcel) {
      if (!from.present()) continue;
      check(api_.ncclSend(from.data(), from.bytes(), nccl::kUint8, static_cast<int>(link) + 1,
                          comms_[link], out.get()),
            "ncclSend");
    }
  });
}

void NcclLinks::receive(size_t link, std::initializer_list<Sent> parcel, Mark& /*done*/) {
  Link& here = *links_[link];
  const cudaStream_t in = here.in.get();
  transfer([&] {
    for (const auto& [from, to] : parcel) {
      if (!to.present()) continue;
      check(api_.ncclRecv(to.data(), to.bytes(), nccl::kUint8, static_cast<int>(link),
                          comms_[link + 1], in),
            "ncclRecv");
    }
  });
  here.arrived.set();
  pipeline_[link + 1]->follow(here.arrived);
}

}  // namespace cuda
}  // namespace driftless
