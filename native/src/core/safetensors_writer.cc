#include "core/safetensors_writer.h"

#include <algorithm>

#include "core/error.h"
#include "core/json.h"

namespace driftless {

namespace {

constexpr int64_t kPartBytes = int64_t{8} << 20;

std::string header_of(const std::vector<TensorToWrite>& tensors) {
  Json header = Json::object();
  size_t offset = 0;
  for (const TensorToWrite& tensor : tensors) {
    std::vector<int64_t> dims;
    for (int axis = 0; axis < tensor.entry.shape.rank(); ++axis) {
      dims.push_back(tensor.entry.shape[axis]);
    }
    const size_t end = offset + tensor.entry.bytes;
    header[tensor.name] = {{"dtype", tensor_type_name(tensor.entry.type)},
                           {"shape", dims},
                           {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  // The data begins aligned.
  while (text.size() % 8 != 0) text += ' ';
  return text;
}

class Out {
 public:
  explicit Out(const std::string& path) : path_(path), file_(path, std::ios::binary) { check(); }

  void write(const void* data, size_t size) {
    file_.write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
    check();
    hash_.add(data, size);
    bytes_ += size;
  }
  WrittenFile finish() {
    file_.close();
    check();
    return {bytes_, hash_.finish()};
  }

 private:
  void check() const {
    if (!file_) throw Error("cannot write " + path_, "room and permission", "a failure");
  }

  std::string path_;
  std::ofstream file_;
  Sha256 hash_;
  uint64_t bytes_ = 0;
};

}  // namespace

WrittenFile write_safetensors_file(const std::string& path,
                                   const std::vector<TensorToWrite>& tensors) {
  Out out(path);
  const std::string header = header_of(tensors);
  uint8_t length[8];
  for (int i = 0; i < 8; ++i) length[i] = static_cast<uint8_t>(header.size() >> (8 * i));
  out.write(length, sizeof length);
  out.write(header.data(), header.size());
  std::vector<uint8_t> part;
  for (const TensorToWrite& tensor : tensors) {
    const auto size = static_cast<int64_t>(tensor_type_size(tensor.entry.type));
    const int64_t count = tensor.entry.shape.count(), step = kPartBytes / size;
    for (int64_t at = 0; at < count; at += step) {
      const int64_t n = std::min(step, count - at);
      part.resize(static_cast<size_t>(n * size));
      copy_elements(tensor.entry, at, n, part.data());
      out.write(part.data(), part.size());
    }
  }
  return out.finish();
}

}  // namespace driftless
