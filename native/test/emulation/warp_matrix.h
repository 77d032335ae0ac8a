#pragma once

// ldmatrix and mma.sync.m16n8k16 on 16-bit elements, as the PTX manual lays their fragments out
// over a warp. "group" below is lane / 4, "pair" is lane % 4.

#include <cstdint>
#include <cstring>

#include "emulation/cuda.h"

namespace driftless {
namespace emulation {

struct LoadMatrix {
  const void* row;  ///< 16 bytes: row lane % 8 of matrix lane / 8.
  uint32_t* registers;
};

inline void count_bank_conflicts(void* const* lanes) {
  for (int matrix = 0; matrix < 4; ++matrix) {
    unsigned used = 0;
    for (int row = 0; row < 8; ++row) {
      const auto* load = static_cast<const LoadMatrix*>(lanes[matrix * 8 + row]);
      // 32 banks of 4 bytes: a row of 16 bytes takes one of eight groups of them.
      const unsigned banks = 1u << (reinterpret_cast<uintptr_t>(load->row) / 16 % 8);
      if (used & banks) ++statistics().bank_conflicts;
      used |= banks;
    }
  }
}

template <bool kTranspose>
void load_matrix(void* const* lanes, unsigned) {
  count_bank_conflicts(lanes);
  for (int lane = 0; lane < 32; ++lane) {
    for (int matrix = 0; matrix < 4; ++matrix) {
      uint16_t both[2];
      for (int i = 0; i < 2; ++i) {
        const int row = kTranspose ? lane % 4 * 2 + i : lane / 4;
        const int column = kTranspose ? lane / 4 : lane % 4 * 2 + i;
        const auto* load = static_cast<const LoadMatrix*>(lanes[matrix * 8 + row]);
        std::memcpy(&both[i], static_cast<const char*>(load->row) + 2 * column, sizeof both[i]);
      }
      std::memcpy(&static_cast<LoadMatrix*>(lanes[lane])->registers[matrix], both, sizeof both);
    }
  }
}

inline void check_matrix_row(const void* row) {
  require_shared("ldmatrix row", row, 16);
  DL_CHECK(reinterpret_cast<uintptr_t>(row) % 16 == 0, "ldmatrix row", "an address aligned to 16",
           row);
}

inline void ldmatrix_x4(uint32_t (&registers)[4], const void* row) {
  check_matrix_row(row);
  LoadMatrix load{row, registers};
  meet("ldmatrix.x4", 0xffffffffu, &load, load_matrix<false>);
}

inline void ldmatrix_x4_trans(uint32_t (&registers)[4], const void* row) {
  check_matrix_row(row);
  LoadMatrix load{row, registers};
  meet("ldmatrix.x4.trans", 0xffffffffu, &load, load_matrix<true>);
}

struct MultiplyMatrix {
  float* c;
  const uint32_t* a;
  uint32_t b[2];
};

inline float element(__nv_bfloat16 x) { return __bfloat162float(x); }
inline float element(__half x) { return __half2float(x); }

/// Value `half` (0 or 1) of a register.
template <typename T>
float element_of(uint32_t both, int half) {
  return element(T{static_cast<uint16_t>(both >> (16 * half))});
}

template <typename T>
void multiply_matrix(void* const* lanes, unsigned) {
  float a[16][16], b[16][8], c[16][8] = {};
  for (int lane = 0; lane < 32; ++lane) {
    const auto* from = static_cast<const MultiplyMatrix*>(lanes[lane]);
    const int group = lane / 4, pair = lane % 4;
    for (int i = 0; i < 8; ++i) {
      // Register order: (rows 0-7, rows 8-15) of the left columns, then of the right ones.
      a[group + i / 2 % 2 * 8][pair * 2 + i % 2 + i / 4 * 8] = element_of<T>(from->a[i / 2], i % 2);
    }
    for (int i = 0; i < 4; ++i)
      b[pair * 2 + i % 2 + i / 2 * 8][group] = element_of<T>(from->b[i / 2], i % 2);
  }
  for (int row = 0; row < 16; ++row) {
    for (int k = 0; k < 16; ++k) {
      for (int column = 0; column < 8; ++column) c[row][column] += a[row][k] * b[k][column];
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    auto* to = static_cast<const MultiplyMatrix*>(lanes[lane]);
    for (int i = 0; i < 4; ++i) to->c[i] += c[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
  }
}

/// c += a b.
template <typename T>
void mma_m16n8k16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  MultiplyMatrix multiply{c, a, {b0, b1}};
  meet("mma.m16n8k16", 0xffffffffu, &multiply, multiply_matrix<T>);
}

}  // namespace emulation
}  // namespace driftless
