#include "core/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace driftless {

MappedFile::MappedFile(const std::string& path, const std::string& kind, size_t least_bytes)
    : path_(path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw Error("cannot open " + path, "a readable file", std::strerror(errno));
  struct stat status = {};
  const bool known = ::fstat(file, &status) == 0 && S_ISREG(status.st_mode);
  if (!known || static_cast<size_t>(status.st_size) < least_bytes) {
    ::close(file);
    throw Error(path, kind + " of at least " + std::to_string(least_bytes) + " bytes",
                known ? std::to_string(status.st_size) + " bytes" : "no regular file");
  }
  size_ = static_cast<size_t>(status.st_size);
  void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
  ::close(file);
  if (mapped == MAP_FAILED) throw Error("cannot map " + path, "success", std::strerror(errno));
  data_ = static_cast<const uint8_t*>(mapped);
}

MappedFile::~MappedFile() { ::munmap(const_cast<uint8_t*>(data_), size_); }

}  // namespace driftless
