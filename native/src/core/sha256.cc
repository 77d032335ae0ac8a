#include "core/sha256.h"

#include <openssl/evp.h>

#include <fstream>
#include <vector>

#include "core/error.h"

namespace driftless {

struct Sha256::Context {
  EVP_MD_CTX* handle = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(handle); }
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  if (EVP_DigestInit_ex(context_->handle, EVP_sha256(), nullptr) != 1) {
    throw Error("SHA-256", "a working libcrypto", "a failure to begin");
  }
}

Sha256::~Sha256() = default;

void Sha256::add(const void* data, size_t size) {
  if (EVP_DigestUpdate(context_->handle, data, size) != 1) {
    throw Error("SHA-256", "a working libcrypto", "a failure to go on");
  }
}

std::string Sha256::finish() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_DigestFinal_ex(context_->handle, digest, &size) != 1) {
    throw Error("SHA-256", "a working libcrypto", "a failure to end");
  }
  std::string text;
  for (unsigned int i = 0; i < size; ++i) {
    text += "0123456789abcdef"[digest[i] >> 4];
    text += "0123456789abcdef"[digest[i] & 15];
  }
  return text;
}

std::string sha256_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error("cannot open " + path, "a readable file", "none");
  Sha256 hash;
  std::vector<char> part(size_t{1} << 20);
  while (file) {
    file.read(part.data(), static_cast<std::streamsize>(part.size()));
    hash.add(part.data(), static_cast<size_t>(file.gcount()));
  }
  if (file.bad()) throw Error(path, "a readable file", "an error while reading");
  return hash.finish();
}

}  // namespace driftless
