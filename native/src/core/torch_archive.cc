#include "core/torch_archive.h"

#include <cstring>
#include <fstream>

#include "core/error.h"
#include "core/torch_pickle.h"

namespace driftless {

namespace {

// The folder that all records share: "archive/" or the name under which the file was saved.
std::string root_of(const ZipFile& zip, const std::string& path) {
  const std::string last = "data.pkl";
  for (const auto& item : zip.records()) {
    const std::string& name = item.first;
    if (name == last) return "";
    const size_t slash = name.find('/');
    if (slash != std::string::npos && name.substr(slash + 1) == last) {
      return name.substr(0, slash + 1);
    }
  }
  throw Error(path, "a PyTorch archive with a record data.pkl", "none");
}

// Checks that the view stays inside of its storage and returns it.
TensorFile::Entry entry_of(const TorchTensor& tensor, const ZipFile::Record& record,
                           const std::string& where) {
  TensorFile::Entry entry;
  entry.type = tensor.type;
  entry.shape = checked_shape(tensor.shape, where);
  const auto size = static_cast<int64_t>(tensor_type_size(tensor.type));
  DL_CHECK_EQ(where + ": bytes of its storage " + tensor.storage,
              static_cast<uint64_t>(tensor.storage_bytes), static_cast<uint64_t>(record.size));
  DL_CHECK_EQ(where + ": strides", tensor.shape.size(), tensor.strides.size());
  const int64_t elements = tensor.storage_bytes / size;
  DL_CHECK(tensor.offset >= 0 && tensor.offset <= elements, where + ": offset",
           "0 to " + std::to_string(elements), tensor.offset);
  // The last element's place; each step is checked so that nothing can wrap around.
  int64_t last = tensor.offset;
  for (size_t axis = 0; axis < tensor.shape.size(); ++axis) {
    const int64_t steps = tensor.shape[axis] - 1, stride = tensor.strides[axis];
    DL_CHECK(stride >= 0, where + ": stride", "0 or more", stride);
    if (entry.shape.count() == 0 || steps == 0 || stride == 0) continue;
    DL_CHECK(stride <= (elements - last) / steps, where,
             "a view inside of its storage of " + std::to_string(elements) + " elements",
             "one that leaves it");
    last += steps * stride;
  }
  DL_CHECK(entry.shape.count() == 0 || last < elements, where,
           "a view inside of its storage of " + std::to_string(elements) + " elements",
           "one that leaves it");
  DL_CHECK(entry.shape.count() <= elements, where + ": elements",
           "at most the " + std::to_string(elements) + " of its storage", entry.shape.count());
  entry.strides = Shape(tensor.strides.data(), static_cast<int>(tensor.strides.size()));
  entry.bytes = static_cast<size_t>(entry.shape.count() * size);
  entry.data = record.data + tensor.offset * size;
  return entry;
}

}  // namespace

const std::vector<std::string>& TorchArchive::usual_sections() {
  static const std::vector<std::string> kSections = {"generator", "generator_ema", "state_dict"};
  return kSections;
}

bool TorchArchive::looks_like(const std::string& path) {
  const MappedFile file(path, "a file of tensors", 4);
  return std::memcmp(file.data(), "PK\3\4", 4) == 0;
}

TorchArchive::TorchArchive(const std::string& path, const std::vector<std::string>& sections)
    : TensorFile(path), file_(path, "a PyTorch archive", 22), zip_(file_) {
  const std::string root = root_of(zip_, path);
  const auto order = zip_.records().find(root + "byteorder");
  if (order != zip_.records().end()) {
    const ZipFile::Record& record = order->second;
    DL_CHECK_EQ(path + ": byte order", std::string("little"),
                std::string(reinterpret_cast<const char*>(record.data), record.size));
  }
  const std::string pickle = root + "data.pkl";
  zip_.check_crc32(pickle);
  const ZipFile::Record& program = zip_.record(pickle);
  const TorchStateDict state =
      read_torch_pickle(program.data, program.size, sections, path + " " + pickle);
  section_ = state.section;
  for (const auto& [name, tensor] : state.tensors) {
    entries_.emplace(name, entry_of(tensor, zip_.record(root + "data/" + tensor.storage),
                                    path + " tensor " + name));
  }
}

void TorchArchive::check_contents() const {
  for (const auto& item : zip_.records()) zip_.check_crc32(item.first);
}

}  // namespace driftless
