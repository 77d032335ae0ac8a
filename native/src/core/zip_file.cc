#include "core/zip_file.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/error.h"

namespace driftless {

namespace {

// PKWARE's APPNOTE.TXT, sections 4.3.6 to 4.3.16 and 4.5.3.
constexpr uint32_t kLocalHeader = 0x04034b50, kDirectoryEntry = 0x02014b50;
constexpr uint32_t kEnd = 0x06054b50, kEnd64 = 0x06064b50, kEnd64Locator = 0x07064b50;
constexpr size_t kLocalHeaderBytes = 30, kDirectoryEntryBytes = 46;
constexpr size_t kEndBytes = 22, kEnd64Bytes = 56, kEnd64LocatorBytes = 20;
constexpr size_t kMaxComment = 0xffff;
constexpr uint16_t kZip64Extra = 1;
constexpr uint32_t kInZip64 = 0xffffffff;
constexpr uint16_t kEncrypted = 1;

struct Directory {
  uint64_t offset = 0, size = 0, entries = 0;
};

// Little-endian numbers at checked places.
class Bytes {
 public:
  explicit Bytes(const MappedFile& file) : file_(file) {}

  template <typename T>
  T get(uint64_t at, const std::string& what) const {
    require(at, sizeof(T), what);
    T value = 0;
    for (size_t i = 0; i < sizeof(T); ++i) {
      value |= static_cast<T>(static_cast<T>(file_.data()[at + i]) << (8 * i));
    }
    return value;
  }
  std::string text(uint64_t at, uint64_t size, const std::string& what) const {
    require(at, size, what);
    return std::string(reinterpret_cast<const char*>(file_.data() + at), size);
  }
  void require(uint64_t at, uint64_t size, const std::string& what) const {
    DL_CHECK(at <= file_.size() && size <= file_.size() - at, file_.path() + ": " + what,
             "a place inside " + std::to_string(file_.size()) + " bytes",
             std::to_string(at) + " + " + std::to_string(size));
  }

 private:
  const MappedFile& file_;
};

// The end record stands at the very end, but for a comment.
uint64_t find_end(const Bytes& bytes, const MappedFile& file) {
  const size_t last = file.size() - kEndBytes;
  for (size_t back = 0; back <= std::min(last, kMaxComment); ++back) {
    const size_t at = last - back;
    if (bytes.get<uint32_t>(at, "end of the archive") == kEnd &&
        bytes.get<uint16_t>(at + 20, "end of the archive") == back) {
      return at;
    }
  }
  throw Error(file.path(), "a complete zip archive", "no end of its directory (cut off?)");
}

Directory find_directory(const Bytes& bytes, const MappedFile& file) {
  const uint64_t end = find_end(bytes, file);
  const char* what = "end of the archive";
  Directory directory;
  directory.entries = bytes.get<uint16_t>(end + 10, what);
  directory.size = bytes.get<uint32_t>(end + 12, what);
  directory.offset = bytes.get<uint32_t>(end + 16, what);
  const bool zip64 =
      directory.entries == 0xffff || directory.size == kInZip64 || directory.offset == kInZip64;
  DL_CHECK_EQ(file.path() + ": disks before this one", 0, bytes.get<uint16_t>(end + 4, what));
  uint64_t limit = end;
  if (zip64) {
    DL_CHECK(end >= kEnd64LocatorBytes, file.path(), "a zip64 locator", "none");
    const uint64_t locator = end - kEnd64LocatorBytes;
    DL_CHECK_EQ(file.path() + ": zip64 locator", kEnd64Locator, bytes.get<uint32_t>(locator, what));
    const uint64_t end64 = bytes.get<uint64_t>(locator + 8, what);
    bytes.require(end64, kEnd64Bytes, "zip64 end of the archive");
    DL_CHECK_EQ(file.path() + ": zip64 end", kEnd64, bytes.get<uint32_t>(end64, what));
    directory.entries = bytes.get<uint64_t>(end64 + 32, what);
    directory.size = bytes.get<uint64_t>(end64 + 40, what);
    directory.offset = bytes.get<uint64_t>(end64 + 48, what);
    limit = end64;
  }
  DL_CHECK(directory.offset <= limit && directory.size <= limit - directory.offset,
           file.path() + ": directory", "a range before byte " + std::to_string(limit),
           std::to_string(directory.offset) + " + " + std::to_string(directory.size));
  DL_CHECK(directory.entries <= directory.size / kDirectoryEntryBytes, file.path() + ": records",
           "at most " + std::to_string(directory.size / kDirectoryEntryBytes), directory.entries);
  return directory;
}

struct Entry {
  std::string name;
  uint16_t flags = 0, method = 0;
  uint32_t crc32 = 0;
  uint64_t packed = 0, size = 0, header = 0;
};

// Sizes that do not fit 32 bits stand in an extra field, in this order, only where they are needed.
void read_zip64(const Bytes& bytes, uint64_t at, uint64_t size, Entry& entry) {
  const std::string what = "record " + entry.name + ": extra field";
  const uint64_t end = at + size;
  while (end - at >= 4) {
    const uint16_t id = bytes.get<uint16_t>(at, what);
    const uint64_t field_end = at + 4 + bytes.get<uint16_t>(at + 2, what);
    if (field_end > end) break;
    if (id == kZip64Extra) {
      uint64_t from = at + 4;
      for (uint64_t* value : {&entry.size, &entry.packed, &entry.header}) {
        if (*value != kInZip64) continue;
        if (field_end - from < 8) return;
        *value = bytes.get<uint64_t>(from, what);
        from += 8;
      }
      return;
    }
    at = field_end;
  }
}

// Returns the bytes that the entry takes in the directory.
uint64_t read_entry(const Bytes& bytes, const std::string& path, uint64_t at, Entry& entry) {
  const std::string what = "directory";
  bytes.require(at, kDirectoryEntryBytes, what);
  DL_CHECK_EQ(path + ": directory entry", kDirectoryEntry, bytes.get<uint32_t>(at, what));
  entry.flags = bytes.get<uint16_t>(at + 8, what);
  entry.method = bytes.get<uint16_t>(at + 10, what);
  entry.crc32 = bytes.get<uint32_t>(at + 16, what);
  entry.packed = bytes.get<uint32_t>(at + 20, what);
  entry.size = bytes.get<uint32_t>(at + 24, what);
  const uint64_t name = bytes.get<uint16_t>(at + 28, what);
  const uint64_t extra = bytes.get<uint16_t>(at + 30, what);
  const uint64_t comment = bytes.get<uint16_t>(at + 32, what);
  entry.header = bytes.get<uint32_t>(at + 42, what);
  entry.name = bytes.text(at + kDirectoryEntryBytes, name, what);
  bytes.require(at + kDirectoryEntryBytes + name, extra + comment, what);
  read_zip64(bytes, at + kDirectoryEntryBytes + name, extra, entry);
  return kDirectoryEntryBytes + name + extra + comment;
}

// Where the record's bytes begin.
uint64_t find_data(const Bytes& bytes, const std::string& where, const Entry& entry,
                   uint64_t directory) {
  const std::string what = "record " + entry.name;
  bytes.require(entry.header, kLocalHeaderBytes, what);
  DL_CHECK_EQ(where + ": header", kLocalHeader, bytes.get<uint32_t>(entry.header, what));
  DL_CHECK(entry.method == 0 && bytes.get<uint16_t>(entry.header + 8, what) == 0,
           where + ": compression", "none (method 0)", entry.method);
  DL_CHECK((entry.flags & kEncrypted) == 0, where, "no encryption", "an encrypted record");
  DL_CHECK_EQ(where + ": stored bytes", entry.size, entry.packed);
  const uint64_t name = bytes.get<uint16_t>(entry.header + 26, what);
  const uint64_t extra = bytes.get<uint16_t>(entry.header + 28, what);
  DL_CHECK_EQ(where + ": name in its own header", entry.name,
              bytes.text(entry.header + kLocalHeaderBytes, name, what));
  const uint64_t data = entry.header + kLocalHeaderBytes + name + extra;
  DL_CHECK(data <= directory && entry.size <= directory - data, where,
           "bytes before the directory at " + std::to_string(directory),
           std::to_string(data) + " + " + std::to_string(entry.size));
  return data;
}

}  // namespace

ZipFile::ZipFile(const MappedFile& file) : file_(file) {
  DL_CHECK(file.size() >= kEndBytes, file.path(), "a zip archive", "too few bytes");
  const Bytes bytes(file);
  const Directory directory = find_directory(bytes, file);
  struct Range {
    uint64_t begin, end;
    std::string name;
  };
  std::vector<Range> ranges;
  uint64_t at = directory.offset;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    Entry entry;
    at += read_entry(bytes, file.path(), at, entry);
    const std::string where = file.path() + " record " + entry.name;
    DL_CHECK(at <= directory.offset + directory.size, where, "an entry inside the directory",
             "one that leaves it");
    const uint64_t data = find_data(bytes, where, entry, directory.offset);
    ranges.push_back({entry.header, data + entry.size, entry.name});
    const Record record{file.data() + data, static_cast<size_t>(entry.size), entry.crc32};
    DL_CHECK(records_.emplace(entry.name, record).second, where, "one of each name", "two");
  }
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
  for (size_t i = 1; i < ranges.size(); ++i) {
    DL_CHECK(ranges[i - 1].end <= ranges[i].begin, file.path() + " record " + ranges[i].name,
             "bytes of its own", "bytes that overlap record " + ranges[i - 1].name);
  }
}

const ZipFile::Record& ZipFile::record(const std::string& name) const {
  const auto found = records_.find(name);
  if (found == records_.end()) throw Error(file_.path(), "a record named " + name, "none");
  return found->second;
}

void ZipFile::check_crc32(const std::string& name) const {
  const Record& one = record(name);
  // zlib counts in 32 bits.
  constexpr size_t kPart = size_t{1} << 30;
  uLong crc = ::crc32(0, nullptr, 0);
  for (size_t at = 0; at < one.size; at += kPart) {
    crc = ::crc32(crc, one.data + at, static_cast<uInt>(std::min(kPart, one.size - at)));
  }
  DL_CHECK_EQ(file_.path() + " record " + name + ": checksum", one.crc32,
              static_cast<uint32_t>(crc));
}

}  // namespace driftless
