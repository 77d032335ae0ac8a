// A pickle of any bytes is read or refused with an Error, whether or not the archive around it
// would have been whole.

#include "core/error.h"
#include "core/torch_pickle.h"

using namespace driftless;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    read_torch_pickle(data, size, {"generator"}, "pickle");
  } catch (const Error&) {
  }
  return 0;
}
