// A model.json of any content is taken or refused with an Error.

#include "core/error.h"
#include "core/json.h"
#include "models/model_config.h"

using namespace driftless;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Json json = Json::parse(data, data + size, nullptr, false);
  if (json.is_discarded()) return 0;
  try {
    parse_model_config(json, "model.json");
  } catch (const Error&) {
  }
  return 0;
}
