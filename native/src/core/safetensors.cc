#include "core/safetensors.h"

#include <cstring>
#include <map>

#include "core/error.h"
#include "core/json.h"

namespace driftless {

namespace {

using Type = TensorFile::Type;

// The format's own limit: a header is text about tensors, not data.
constexpr uint64_t kMaxHeaderBytes = 100 * 1000 * 1000;

Type parse_type(const std::string& name, const std::string& where) {
  for (Type type :
       {Type::F32, Type::F16, Type::BF16, Type::F8_E4M3, Type::I32, Type::I64, Type::U8}) {
    if (name == tensor_type_name(type)) return type;
  }
  throw Error(where + " dtype", "F32, F16, BF16, F8_E4M3, I32, I64 or U8", name);
}

}  // namespace

SafeTensors::SafeTensors(const std::string& path)
    : TensorFile(path), file_(path, "a safetensors file", sizeof(uint64_t)) {
  parse_header();
}

void SafeTensors::parse_header() {
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file_.data(), sizeof header_bytes);
  DL_CHECK(header_bytes <= kMaxHeaderBytes && header_bytes <= file_.size() - 8,
           path() + " header length", "at most " + std::to_string(file_.size() - 8), header_bytes);
  const char* text = reinterpret_cast<const char*>(file_.data() + 8);
  const Json header = Json::parse(text, text + header_bytes, nullptr, false);
  DL_CHECK(header.is_object(), path() + " header", "a JSON object", header.type_name());
  const uint8_t* data = file_.data() + 8 + header_bytes;
  const uint64_t data_bytes = file_.size() - 8 - header_bytes;

  for (const auto& [name, json] : header.items()) {
    if (name == "__metadata__") continue;
    const std::string where = path() + " tensor " + name;
    Entry entry;
    entry.type = parse_type(json_get<std::string>(json, "dtype", where), where);
    entry.shape = checked_shape(json_get<std::vector<int64_t>>(json, "shape", where), where);
    const auto offsets = json_get<std::vector<uint64_t>>(json, "data_offsets", where);
    DL_CHECK_EQ(where + " number of offsets", size_t{2}, offsets.size());
    DL_CHECK(offsets[0] <= offsets[1] && offsets[1] <= data_bytes, where + " data offsets",
             "a range inside " + std::to_string(data_bytes) + " bytes",
             std::to_string(offsets[0]) + ".." + std::to_string(offsets[1]));
    entry.bytes = static_cast<size_t>(offsets[1] - offsets[0]);
    DL_CHECK_EQ(where + " bytes of shape " + entry.shape.text(),
                static_cast<size_t>(entry.shape.count()) * tensor_type_size(entry.type),
                entry.bytes);
    entry.strides = dense_strides(entry.shape);
    entry.data = data + offsets[0];
    entries_.emplace(name, entry);
  }
}

ShardedSafeTensors::ShardedSafeTensors(const std::string& index_path) : TensorFile(index_path) {
  const Json index = load_json(index_path);
  const size_t slash = index_path.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : index_path.substr(0, slash + 1);
  const auto names = json_get<std::map<std::string, std::string>>(index, "weight_map", index_path);
  std::map<std::string, SafeTensors*> by_name;
  size_t held = 0;
  for (const auto& [name, shard] : names) {
    DL_CHECK(!shard.empty() && shard.find('/') == std::string::npos, index_path + " " + name,
             "a file name without a folder", "\"" + shard + "\"");
    SafeTensors*& file = by_name[shard];
    if (file == nullptr) {
      files_.push_back(std::make_unique<SafeTensors>(folder + shard));
      file = files_.back().get();
      held += file->names().size();
    }
    entries_.emplace(name, file->entry(name));
  }
  DL_CHECK_EQ(index_path + ": tensors of its files", names.size(), held);
}

}  // namespace driftless
