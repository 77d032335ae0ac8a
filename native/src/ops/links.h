#pragma once

#include <initializer_list>
#include <utility>
#include <vector>

#include "core/tensor.h"
#include "ops/mark.h"

namespace driftless {

class Ops;

/// Tensors on their way: where one lies, and where the next operations want it.
using Sent = std::pair<Tensor, Tensor>;

/// How tensors get along a pipeline of operations, each of which has a thread: link i leads from
/// number i to number i + 1. See Ops::make_links().
class Links {
 public:
  Links() = default;
  virtual ~Links() = default;
  Links(const Links&) = delete;
  Links& operator=(const Links&) = delete;

  /// Starts sending, behind what number `link` was given until now, and returns. On its thread.
  /// Absent tensors are left out. `done`: a mark of number `link`, for this parcel alone, until
  /// receive() has returned.
  virtual void send(size_t link, std::initializer_list<Sent> parcel, Mark& done) = 0;
  /// What number link + 1 is given from now on comes after the parcel's arrival. On its thread,
  /// after the same send() has returned; parcels are received in the order of sending.
  virtual void receive(size_t link, std::initializer_list<Sent> parcel, Mark& done) = 0;
};

}  // namespace driftless
