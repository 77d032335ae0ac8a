#pragma once

// For functions that the host's code and kernels share.

#if defined(__CUDACC__)
#define DL_HOST_AND_DEVICE __host__ __device__
#else
#define DL_HOST_AND_DEVICE
#endif
