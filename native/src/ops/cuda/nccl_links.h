#pragma once

#include <memory>
#include <vector>

#include "ops/cuda/cuda_mark.h"
#include "ops/cuda/nccl_api.h"
#include "ops/links.h"

namespace driftless {
namespace cuda {

/// Links over NCCL, within one process. Each end of a link has a stream of its own: NCCL's
/// operations hold their stream until the other side is there, and the blocks' work need not wait
/// with them. A parcel that NCCL refuses leaves both ends out of step, so it is a lost device.
class NcclLinks : public Links {
 public:
  /// `pipeline` on `devices`, which all differ, at least two; both sides of every link are made
  /// acquainted, so that later neither waits in the host's code for the other. Throws Error with
  /// NCCL's text.
  NcclLinks(const nccl::Api& api, std::vector<Ops*> pipeline, const std::vector<int>& devices);
  ~NcclLinks() override;

  void send(size_t link, std::initializer_list<Sent> parcel, Mark& done) override;
  void receive(size_t link, std::initializer_list<Sent> parcel, Mark& done) override;

 private:
  struct Link {
    Link(int from, int to) : out(from), in(to), arrived(in) {}
    Stream out, in;
    CudaMark arrived;
  };

  void check(nccl::Result result, const char* what) const;
  template <typename Put>
  void group(const Put& put) const;
  template <typename Put>
  void transfer(const Put& put) const;

  nccl::Api api_;
  std::vector<Ops*> pipeline_;
  std::vector<nccl::Comm> comms_;
  std::vector<std::unique_ptr<Link>> links_;
};

}  // namespace cuda
}  // namespace driftless
