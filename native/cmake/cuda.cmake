# The CUDA backend, as a part of the ops layer. The runtime is linked statically and libraries are
# opened at run time, so that the same binary starts on a machine without CUDA. Included before the
# layers that stand on ops.

set(CMAKE_CUDA_ARCHITECTURES ${DRIFTLESS_CUDA_ARCHITECTURES})
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
enable_language(CUDA)

file(GLOB cuda_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/src/ops/cuda/*.cc)
set_source_files_properties(${cuda_sources} PROPERTIES LANGUAGE CUDA)
add_library(driftless_cuda STATIC ${cuda_sources})
target_include_directories(driftless_cuda PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/src)
target_link_libraries(driftless_cuda PUBLIC driftless_core ${CMAKE_DL_LIBS})
target_compile_definitions(driftless_ops PUBLIC DRIFTLESS_CUDA)
target_link_libraries(driftless_ops PUBLIC driftless_cuda)
# The argument checks that the backend calls are the ops layer's.
target_link_libraries(driftless_cuda PUBLIC driftless_ops)

# The checks of the kernels, on the device: built on request (`npm run gpu:suite`).
file(GLOB check_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/test/cuda/*_checks.cc
                                          ${CMAKE_CURRENT_SOURCE_DIR}/test/cuda/kernel_cases.cc
                                          ${CMAKE_CURRENT_SOURCE_DIR}/test/cuda/runner/main.cc)
set_source_files_properties(${check_sources} PROPERTIES LANGUAGE CUDA)
add_executable(driftless-cuda-device EXCLUDE_FROM_ALL ${check_sources})
target_include_directories(driftless-cuda-device PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/test)
target_link_libraries(driftless-cuda-device PRIVATE driftless_stream)
set_target_properties(driftless-cuda-device PROPERTIES RUNTIME_OUTPUT_DIRECTORY
                                                       ${CMAKE_BINARY_DIR}/Release)
