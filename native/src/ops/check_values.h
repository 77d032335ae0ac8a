#pragma once

// What the checks of arguments are written with; included by checks*.cc only.

#include <string>

#include "core/error.h"
#include "ops/checks.h"

namespace driftless {
namespace checks {

// Names are literals and become text only in an error: a chunk's steady path makes no strings.

inline void f32(const char* what, const Tensor& x, const char* more = "") {
  DL_CHECK(x.present(), std::string(what) + more, "an f32 tensor", "an absent tensor");
  if (x.dtype() != DType::f32) {
    throw Error(std::string(what) + more + " dtype", "f32", dtype_name(x.dtype()));
  }
}

inline void rank_of(const char* what, const Tensor& x, int expected) {
  DL_CHECK_EQ(what + (" rank of shape " + x.shape().text()), expected, x.rank());
}
inline void rank(const char* what, const Tensor& x, int expected) {
  f32(what, x);
  rank_of(what, x, expected);
}

inline void shape(const char* what, const Shape& expected, const Tensor& x, const char* more = "") {
  f32(what, x, more);
  DL_CHECK_EQ(std::string(what) + more + " shape", expected, x.shape());
}

/// Tokens, keys and values: f32 or what the backend keeps them in.
inline void tokens(const char* what, const Tensor& x, DType token_dtype) {
  if (x.present() && (x.dtype() == DType::f32 || x.dtype() == token_dtype)) return;
  throw Error(std::string(what) + " dtype",
              token_dtype == DType::f32 ? "f32" : std::string("f32 or ") + dtype_name(token_dtype),
              x.present() ? dtype_name(x.dtype()) : "an absent tensor");
}
inline void tokens(const char* what, const Shape& expected, const Tensor& x, DType token_dtype) {
  tokens(what, x, token_dtype);
  DL_CHECK_EQ(std::string(what) + " shape", expected, x.shape());
}
inline void same_dtype(const char* what, const Tensor& expected, const Tensor& x) {
  DL_CHECK(x.dtype() == expected.dtype(), std::string(what) + " dtype",
           dtype_name(expected.dtype()), dtype_name(x.dtype()));
}

inline void not_same(const char* what, const Tensor& x, const Tensor& y) {
  DL_CHECK(x.data() != y.data() || x.count() == 0, std::string(what) + " output",
           "memory of its own", "its input's memory");
}

/// Rows per vector, after checking that groups divide the rows.
inline int64_t group_rows(const char* what, const GroupVectors& vectors, int64_t rows,
                          int64_t width) {
  if (vectors.data == nullptr) return 0;
  DL_CHECK(vectors.groups > 0 && rows % vectors.groups == 0, std::string(what) + " groups",
           "a divisor of " + std::to_string(rows) + " rows", vectors.groups);
  DL_CHECK(vectors.groups == 1 || vectors.stride >= width, std::string(what) + " stride",
           "at least " + std::to_string(width), vectors.stride);
  return rows / vectors.groups;
}

inline int64_t factor(const char* what, int64_t small, int64_t large) {
  DL_CHECK(small > 0 && large % small == 0, what, "a multiple of " + std::to_string(small), large);
  return large / small;
}

}  // namespace checks
}  // namespace driftless
