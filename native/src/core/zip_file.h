#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "core/mapped_file.h"

namespace driftless {

/// The records of a zip archive whose contents are stored as they are, which is how PyTorch writes
/// its files: their bytes can be used where they are mapped. Zip64 is understood; compression,
/// encryption and several disks are refused, because nothing writes weights that way.
class ZipFile {
 public:
  struct Record {
    const uint8_t* data = nullptr;
    size_t size = 0;
    uint32_t crc32 = 0;
  };

  /// Reads the directory. Throws Error, naming file and record, for a file that is no zip archive,
  /// is cut off, or has records that are compressed, overlap or lie outside of the file.
  /// `file` must outlive the object.
  explicit ZipFile(const MappedFile& file);

  const std::map<std::string, Record>& records() const { return records_; }
  /// Throws Error naming the record when it is missing.
  const Record& record(const std::string& name) const;
  /// Reads all bytes of a record and throws Error unless its checksum fits.
  void check_crc32(const std::string& name) const;

 private:
  const MappedFile& file_;
  std::map<std::string, Record> records_;
};

}  // namespace driftless
