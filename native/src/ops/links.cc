#include "ops/links.h"

#include <memory>

#include "ops/ops.h"

namespace driftless {

namespace {

/// The operations that send copy, into the memory of the next, which follow.
class CopyLinks : public Links {
 public:
  explicit CopyLinks(const std::vector<Ops*>& pipeline) : pipeline_(pipeline) {}

  void send(size_t link, std::initializer_list<Sent> parcel, Mark& done) override {
    for (const auto& [from, to] : parcel) {
      if (from.present()) pipeline_[link]->copy(from, to);
    }
    done.set();
  }
  void receive(size_t link, std::initializer_list<Sent> /*parcel*/, Mark& done) override {
    pipeline_[link + 1]->follow(done);
  }

 private:
  const std::vector<Ops*> pipeline_;
};

}  // namespace

std::unique_ptr<Links> Ops::make_links(const std::vector<Ops*>& pipeline) const {
  return std::make_unique<CopyLinks>(pipeline);
}

}  // namespace driftless
