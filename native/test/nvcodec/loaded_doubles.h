#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>

#include "nvcodec/doubles.h"

namespace driftless {

/// The doubles of NVIDIA's libraries, under the names that FFmpeg asks for, while it lives.
class LoadedDoubles {
 public:
  LoadedDoubles() {
#ifdef DRIFTLESS_NVCODEC_DOUBLES
    // FFmpeg asks for the libraries by their names and gets what is loaded under them.
    driver_ = load(DRIFTLESS_NVCODEC_DOUBLES "/cuda_driver_double.so");
    decoder_ = load(DRIFTLESS_NVCODEC_DOUBLES "/nvcuvid_double.so");
    encoder_ = load(DRIFTLESS_NVCODEC_DOUBLES "/nvenc_double.so");
    if (driver_ == nullptr || decoder_ == nullptr || encoder_ == nullptr) return;
    counts = static_cast<CudaCounts*>(::dlsym(driver_, "driftless_cuda_counts"));
    decoder = static_cast<NvcuvidState*>(::dlsym(decoder_, "driftless_nvcuvid"));
    encoder = static_cast<NvencState*>(::dlsym(encoder_, "driftless_nvenc"));
#endif
  }
  /// Everything that was taken has been given back.
  ~LoadedDoubles() {
    if (encoder != nullptr) {
      EXPECT_EQ(0, decoder->mapped);
      EXPECT_EQ(0, decoder->decoders);
      EXPECT_EQ(0, encoder->sessions);
      EXPECT_EQ(0, encoder->registered);
      EXPECT_EQ(0, counts->pieces);
      EXPECT_EQ(0, counts->contexts);
      EXPECT_EQ(0, counts->streams);
    }
    for (void* library : {encoder_, decoder_, driver_}) {
      if (library != nullptr) ::dlclose(library);
    }
  }
  LoadedDoubles(const LoadedDoubles&) = delete;
  LoadedDoubles& operator=(const LoadedDoubles&) = delete;

  /// False where the build has none: the machine lacks the headers.
  static bool exist() {
#ifdef DRIFTLESS_NVCODEC_DOUBLES
    return true;
#else
    return false;
#endif
  }

  CudaCounts* counts = nullptr;
  NvcuvidState* decoder = nullptr;
  NvencState* encoder = nullptr;

 private:
  static void* load(const char* path) {
    void* library = ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) ADD_FAILURE() << ::dlerror();
    return library;
  }

  void* driver_ = nullptr;
  void* decoder_ = nullptr;
  void* encoder_ = nullptr;
};

}  // namespace driftless
