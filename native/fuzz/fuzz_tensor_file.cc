// A weight file of any content and format is read or refused with an Error.

#include "core/error.h"
#include "core/tensor_file.h"
#include "fuzz/memory_file.h"

using namespace driftless;

namespace {

// A view may repeat its storage, so that a small file can describe a large tensor.
constexpr size_t kMaxBytes = 1 << 20;

template <typename Call>
void read_or_refuse(Call call) {
  try {
    call();
  } catch (const Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const MemoryFile file(data, size);
  read_or_refuse([&] {
    const std::unique_ptr<TensorFile> tensors = TensorFile::open(file.path());
    read_or_refuse([&] { tensors->check_contents(); });
    for (const std::string& name : tensors->names()) {
      if (tensors->entry(name).bytes > kMaxBytes) continue;
      Arena arena;
      read_or_refuse([&] { tensors->load_f32(name, arena); });
      read_or_refuse([&] { tensors->load_i32(name, arena); });
    }
  });
  return 0;
}
