// Stands in for NVIDIA's driver (libcuda.so.1) while cuDNN makes plans on a machine without one: it
// loads what the library has compiled, and runs nothing. Without cuInit() the runtime in the
// library finds no device, as it should. Not part of any build.

#include <cstddef>

extern "C" {

// What is asked for is there; nobody looks at it.
#define DL_GIVES(name, type, value) \
  int name(type* to, ...) {         \
    *to = value;                    \
    return 0;                       \
  }
DL_GIVES(cuDriverGetVersion, int, 13000)
DL_GIVES(cuDeviceGetCount, int, 1)
DL_GIVES(cuDeviceGet, int, 0)
DL_GIVES(cuCtxGetCurrent, void*, nullptr)
DL_GIVES(cuCtxPopCurrent, void*, nullptr)
DL_GIVES(cuCtxGetLimit, size_t, 0)
DL_GIVES(cuKernelGetAttribute, int, 0)
DL_GIVES(cuLibraryLoadData, void*, to)
DL_GIVES(cuLibraryLoadFromFile, void*, to)
DL_GIVES(cuLibraryGetKernel, void*, to)
DL_GIVES(cuOccupancyMaxPotentialClusterSize, int, 1)
DL_GIVES(cuStreamGetCtx, void*, nullptr)

int cuGetErrorString(int, const char** to) { return *to = "no driver", 0; }
int cuGetErrorName(int, const char** to) { return *to = "none", 0; }

#define DL_DONE(name) \
  int name(...) { return 0; }
DL_DONE(cuCtxPushCurrent)
DL_DONE(cuKernelSetAttribute)
DL_DONE(cuLaunchCooperativeKernel)
DL_DONE(cuLaunchKernel)
DL_DONE(cuLaunchKernelEx)
DL_DONE(cuLibraryUnload)
DL_DONE(cuLinkAddData)
DL_DONE(cuLinkComplete)
DL_DONE(cuLinkCreate)
DL_DONE(cuLinkDestroy)
}
