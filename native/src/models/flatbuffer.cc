#include "models/flatbuffer.h"

#include <cstring>

#include "core/error.h"

namespace driftless {

void FlatBytes::require(size_t at, size_t bytes) const {
  if (at > size || bytes > size - at) {
    throw Error(name,
                "a FlatBuffers file with " + std::to_string(bytes) + " bytes at offset " +
                    std::to_string(at),
                std::to_string(size) + " bytes in all");
  }
}

template <typename T>
T FlatBytes::read(size_t at) const {
  require(at, sizeof(T));
  T value;
  std::memcpy(&value, data + at, sizeof value);
  return value;
}
template int8_t FlatBytes::read(size_t) const;
template uint8_t FlatBytes::read(size_t) const;
template uint16_t FlatBytes::read(size_t) const;
template int32_t FlatBytes::read(size_t) const;
template uint32_t FlatBytes::read(size_t) const;

size_t FlatBytes::follow(size_t at) const {
  const size_t target = at + read<uint32_t>(at);
  require(target, sizeof(uint32_t));
  return target;
}

FlatVector::FlatVector(const FlatBytes* bytes, size_t at, size_t element_bytes)
    : bytes_(bytes),
      begin_(at + sizeof(uint32_t)),
      size_(bytes->read<uint32_t>(at)),
      element_bytes_(element_bytes) {
  bytes->require(begin_, size_ * element_bytes);  // 2^32 elements of a few bytes fit in 64 bits.
}

size_t FlatVector::element(size_t index, size_t bytes) const {
  if (index >= size_) throw Error(bytes_ ? bytes_->name : "vector", size_, index);
  DL_CHECK_EQ(bytes_->name + ": bytes of a vector's element", element_bytes_, bytes);
  return begin_ + index * element_bytes_;
}

FlatTable FlatVector::table(size_t index) const {
  return FlatTable(bytes_, bytes_->follow(element(index, sizeof(uint32_t))));
}

const uint8_t* FlatVector::data() const { return size_ == 0 ? nullptr : bytes_->data + begin_; }

FlatTable::FlatTable(const FlatBytes* bytes, size_t at) : bytes_(bytes), at_(at) {
  // The distance to the field list is signed: lists of equal tables are shared.
  const int64_t list = static_cast<int64_t>(at) - bytes->read<int32_t>(at);
  if (list < 0) throw Error(bytes->name, "a FlatBuffers table", "one whose fields lie outside");
  vtable_ = static_cast<size_t>(list);
  vtable_bytes_ = bytes->read<uint16_t>(vtable_);
  bytes->require(vtable_, vtable_bytes_);
}

FlatTable FlatTable::root(const FlatBytes* bytes, const char* identifier) {
  bytes->require(0, 8);
  const std::string found(reinterpret_cast<const char*>(bytes->data + 4), 4);
  if (found != identifier) throw Error(bytes->name + ": file identifier", identifier, found);
  return FlatTable(bytes, bytes->follow(0));
}

size_t FlatTable::slot(int field) const {
  const size_t entry = 4 + 2 * static_cast<size_t>(field);
  if (entry + 2 > vtable_bytes_) return 0;
  const uint16_t offset = bytes_->read<uint16_t>(vtable_ + entry);
  return offset == 0 ? 0 : at_ + offset;
}

FlatVector FlatTable::vector(int field, size_t element_bytes) const {
  const size_t at = slot(field);
  return at == 0 ? FlatVector() : FlatVector(bytes_, bytes_->follow(at), element_bytes);
}

FlatTable FlatTable::table(int field) const {
  const size_t at = slot(field);
  if (at == 0) throw Error(bytes_->name + ": field " + std::to_string(field), "a table", "nothing");
  return FlatTable(bytes_, bytes_->follow(at));
}

std::string FlatTable::text(int field) const {
  const FlatVector letters = vector(field, 1);
  return letters.size() == 0
             ? std::string()
             : std::string(reinterpret_cast<const char*>(letters.data()), letters.size());
}

}  // namespace driftless
