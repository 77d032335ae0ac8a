#include "cuda/recording_cublaslt.h"

#include <cmath>
#include <cstring>

#include "ops/cuda/platform.cuh"

namespace driftless {

namespace {

using namespace cuda::lt;

constexpr Status kInvalid = 7, kNotSupported = 15;
/// What the double's algorithms say they need; a call that brings less is a mistake.
constexpr size_t kWorkspace = 4096;

struct Desc {
  int32_t pointer_mode = 0;
  int64_t alpha_stride = 0, bias_stride = 0;
  int32_t transpose_a = kNone, transpose_b = kNone;
  uint32_t epilogue = kPlain;
  const void* bias = nullptr;
  int32_t bias_type = -1;  ///< -1: C's.
  const float* scale_a = nullptr;
};
struct Matrix {
  DataType type;
  uint64_t rows, columns;
  int64_t leading;
  int32_t batch = 1;
  int64_t stride = 0;  ///< From one matrix of a batch to the next.
};

Status problem(const std::string& text) {
  recorded_calls().problems.push_back(text);
  return kInvalid;
}

Desc& desc(MatmulDesc body) { return *reinterpret_cast<Desc*>(body); }
Matrix& matrix(Layout body) { return *reinterpret_cast<Matrix*>(body); }
bool gates(const Desc& d) { return d.pointer_mode == kAlphaVectorBetaHost; }

float number(DataType type, const void* data, uint64_t at) {
  if (type == kBf16) return cuda::to_float(static_cast<const cuda::bf16*>(data)[at]);
  if (type == kF16) return cuda::to_float(static_cast<const cuda::f16*>(data)[at]);
  if (type == kE4m3) return cuda::to_float(static_cast<const cuda::e4m3*>(data)[at]);
  return static_cast<const float*>(data)[at];
}
float value(const Matrix& m, const void* data, uint64_t row, uint64_t column) {
  return number(m.type, data, row + column * static_cast<uint64_t>(m.leading));
}

/// The product's sizes, or a problem.
DataType bias_type(const Desc& d, const Matrix& c) {
  return d.bias_type < 0 ? c.type : static_cast<DataType>(d.bias_type);
}

struct Sizes {
  uint64_t m, n, k;
};
Status sizes_of(const Desc& d, const Matrix& a, const Matrix& b, const Matrix& c, Sizes& sizes) {
  const uint64_t a_rows = d.transpose_a ? a.columns : a.rows;
  const uint64_t a_columns = d.transpose_a ? a.rows : a.columns;
  const uint64_t b_rows = d.transpose_b ? b.columns : b.rows;
  const uint64_t b_columns = d.transpose_b ? b.rows : b.columns;
  if (a_columns != b_rows || a_rows != c.rows || b_columns != c.columns) {
    return problem("sizes of the matrices do not fit each other");
  }
  for (const Matrix* m : {&a, &b, &c}) {
    if (m->leading < static_cast<int64_t>(m->rows)) return problem("leading dimension below rows");
    if (m->batch != c.batch || m->batch < 1) return problem("batches of several lengths");
  }
  const bool narrow = a.type == kE4m3;
  if (a.type != b.type || (c.type != kF32 && c.type != (narrow ? kBf16 : a.type))) {
    return problem("types that do not go together");
  }
  if (narrow) {
    if (!d.transpose_a || d.transpose_b) return problem("e4m3 is multiplied as A^T B only");
    if (a_rows % 16 != 0 || a_columns % 16 != 0) return problem("e4m3 in sizes other than 16s");
  }
  if (d.pointer_mode != 0 && !gates(d)) return problem("a pointer mode of its own");
  if (gates(d) && (narrow || d.scale_a != nullptr)) return problem("a vector beside a scale");
  if (c.batch > 1 && c.stride < c.leading * static_cast<int64_t>(c.columns)) {
    return problem("results on top of each other");
  }
  const auto m = static_cast<int64_t>(c.rows);
  if (c.batch > 1 && gates(d) && d.alpha_stride < m) return problem("gates on top of each other");
  if (d.bias != nullptr && bias_type(d, c) != (narrow ? kBf16 : c.type)) {
    return problem("a bias of another type");
  }
  sizes = {a_rows, b_columns, a_columns};
  return 0;
}

Status create_desc(MatmulDesc* to, ComputeType compute, DataType scale) {
  if (compute != kCompute32F || scale != kF32) return problem("sums that are not f32");
  *to = reinterpret_cast<MatmulDesc>(new Desc);
  return 0;
}
Status destroy_desc(MatmulDesc body) {
  delete &desc(body);
  return 0;
}
Status set_desc(MatmulDesc body, DescAttribute attribute, const void* from, size_t bytes) {
  const auto take = [&](auto& to) -> Status {
    if (bytes != sizeof to) return problem("size of attribute " + std::to_string(attribute));
    std::memcpy(&to, from, sizeof to);
    return 0;
  };
  if (attribute == kPointerMode) return take(desc(body).pointer_mode);
  if (attribute == kAlphaBatchStride) return take(desc(body).alpha_stride);
  if (attribute == kBiasBatchStride) return take(desc(body).bias_stride);
  if (attribute == kTransA) return take(desc(body).transpose_a);
  if (attribute == kTransB) return take(desc(body).transpose_b);
  if (attribute == kEpilogue) return take(desc(body).epilogue);
  if (attribute == kBiasPointer) return take(desc(body).bias);
  if (attribute == kBiasType) return take(desc(body).bias_type);
  if (attribute == kScaleAPointer) return take(desc(body).scale_a);
  return problem("unknown attribute " + std::to_string(attribute));
}
Status create_layout(Layout* to, DataType type, uint64_t rows, uint64_t columns, int64_t leading) {
  *to = reinterpret_cast<Layout>(new Matrix{type, rows, columns, leading});
  return 0;
}
Status set_layout(Layout body, LayoutAttribute attribute, const void* from, size_t bytes) {
  Matrix& m = matrix(body);
  if (attribute == kBatchCount && bytes == sizeof m.batch)
    std::memcpy(&m.batch, from, bytes);
  else if (attribute == kBatchStride && bytes == sizeof m.stride)
    std::memcpy(&m.stride, from, bytes);
  else
    return problem("attribute of a layout");
  return 0;
}
Status destroy_layout(Layout body) {
  delete &matrix(body);
  return 0;
}
Status create_preference(Preference* to) {
  *to = reinterpret_cast<Preference>(new size_t(0));
  return 0;
}
Status destroy_preference(Preference body) {
  delete reinterpret_cast<size_t*>(body);
  return 0;
}
Status set_preference(Preference body, PreferenceAttribute attribute, const void* from,
                      size_t bytes) {
  if (attribute != kMaxWorkspaceBytes || bytes != sizeof(size_t)) return problem("preference");
  std::memcpy(body, from, bytes);
  return 0;
}

Status heuristic(Handle, MatmulDesc body, Layout a, Layout b, Layout c, Layout d,
                 Preference preference, int wanted, Heuristic* results, int* found) {
  ++recorded_calls().heuristics;
  *found = 0;
  Sizes s = {};
  if (wanted < 1 || c != d) return problem("heuristic arguments");
  if (const Status status = sizes_of(desc(body), matrix(a), matrix(b), matrix(d), s)) return status;
  if (static_cast<int64_t>(s.m * s.n * s.k) > recorded_calls().refuse_above) return kNotSupported;
  if (gates(desc(body)) && !recorded_calls().gates) return kNotSupported;
  const size_t most = *reinterpret_cast<const size_t*>(preference);
  // The sizes stand for the algorithm: it is good for these only.
  *results = {};
  results->algorithm.data[0] = s.m;
  results->algorithm.data[1] = s.n;
  results->algorithm.data[2] = s.k;
  results->workspace_bytes = most < kWorkspace ? most : kWorkspace;
  *found = 1;
  return 0;
}

/// A product as its descriptors say it.
struct Product {
  Desc op;
  Matrix a, b, d;
  Sizes sizes;
  const float* scale;  ///< One value, or the device's, one for each row.
  float keep;
  bool wrong;
};

/// The address of one of a batch's matrices.
template <typename Byte>
Byte* at(const Matrix& m, Byte* data, int32_t index) {
  const int64_t bytes = m.type == kF32 ? 4 : m.type == kE4m3 ? 1 : 2;
  return data + index * m.stride * bytes;
}

void compute(const Product& p, const float* alpha, const void* bias, const void* a, const void* b,
             const void* c, void* d) {
  const bool has_bias = p.op.epilogue == kBias || p.op.epilogue == kGeluBias;
  const bool gelu = p.op.epilogue == kGelu || p.op.epilogue == kGeluBias;
  for (uint64_t column = 0; column < p.sizes.n; ++column) {
    for (uint64_t row = 0; row < p.sizes.m; ++row) {
      double sum = 0.0;
      for (uint64_t i = 0; i + (p.wrong ? 1 : 0) < p.sizes.k; ++i) {
        sum += double{p.op.transpose_a ? value(p.a, a, i, row) : value(p.a, a, row, i)} *
               (p.op.transpose_b ? value(p.b, b, column, i) : value(p.b, b, i, column));
      }
      sum *= gates(p.op) ? alpha[row] : *alpha;
      if (p.op.scale_a != nullptr) sum *= *p.op.scale_a;
      // C is not read where beta is zero: it may hold NaN.
      if (p.keep != 0.0f) sum += p.keep * value(p.d, c, row, column);
      if (has_bias) sum += number(bias_type(p.op, p.d), bias, row);
      if (gelu) {
        sum *= 0.5 * (1.0 + std::tanh(0.7978845608028654 * (sum + 0.044715 * sum * sum * sum)));
      }
      const uint64_t at = row + column * static_cast<uint64_t>(p.d.leading);
      const auto result = static_cast<float>(sum);
      if (p.d.type == kF32) static_cast<float*>(d)[at] = result;
      if (p.d.type == kBf16) static_cast<cuda::bf16*>(d)[at] = cuda::from_float<cuda::bf16>(result);
      if (p.d.type == kF16) static_cast<cuda::f16*>(d)[at] = cuda::from_float<cuda::f16>(result);
    }
  }
}

Status matmul(Handle, MatmulDesc body, const void* alpha, const void* a, Layout a_layout,
              const void* b, Layout b_layout, const void* beta, const void* c, Layout c_layout,
              void* d, Layout d_layout, const Algorithm* algorithm, void* workspace,
              size_t workspace_bytes, void* stream) {
  ++recorded_calls().products;
  const Desc op = desc(body);
  const Matrix &ma = matrix(a_layout), &mb = matrix(b_layout), &md = matrix(d_layout);
  Sizes s = {};
  if (const Status status = sizes_of(op, ma, mb, md, s)) return status;
  if (c_layout != d_layout) return problem("layout of C");
  if (algorithm == nullptr || algorithm->data[0] != s.m || algorithm->data[1] != s.n ||
      algorithm->data[2] != s.k) {
    return problem("an algorithm for other sizes");
  }
  if (workspace_bytes > 0 && reinterpret_cast<uintptr_t>(workspace) % 256 != 0) {
    return problem("workspace that is not aligned to 256");
  }
  const bool has_bias = op.epilogue == kBias || op.epilogue == kGeluBias;
  if (has_bias && op.bias == nullptr) return problem("an epilogue with bias but no bias");
  if (gates(op)) ++recorded_calls().gated;
  const Product product = {op,
                           ma,
                           mb,
                           md,
                           s,
                           static_cast<const float*>(alpha),
                           *static_cast<const float*>(beta),
                           gates(op) && recorded_calls().wrong};
  // What is the host's may change when the call returns.
  const float host_alpha = gates(op) ? 0.0f : *static_cast<const float*>(alpha);
  emulation::on_stream(static_cast<cudaStream_t>(stream), [=] {
    const emulation::DeviceAccess access;
    // A library may fill what it was given.
    if (workspace_bytes > 0) std::memset(workspace, 0xff, workspace_bytes);
    const auto* bias = static_cast<const unsigned char*>(op.bias);
    const int64_t bias_bytes = has_bias && bias_type(op, md) != kF32 ? 2 : 4;
    for (int32_t i = 0; i < md.batch; ++i) {
      const float* factor = gates(op) ? product.scale + i * op.alpha_stride : &host_alpha;
      compute(product, factor, has_bias ? bias + i * op.bias_stride * bias_bytes : nullptr,
              at(ma, static_cast<const unsigned char*>(a), i),
              at(mb, static_cast<const unsigned char*>(b), i),
              at(md, static_cast<const unsigned char*>(c), i),
              at(md, static_cast<unsigned char*>(d), i));
    }
  });
  return 0;
}

}  // namespace

RecordedCalls& recorded_calls() {
  static RecordedCalls calls;
  return calls;
}

double recorded_product_seconds() {
  const RecordedCalls& calls = recorded_calls();
  return 1e-3 *
         (calls.plain_cost * (calls.products - calls.gated) + calls.gated_cost * calls.gated);
}

const Api& recording_cublaslt() {
  static const Api api = {[]() -> size_t { return 130000; },
                          [](Status) { return "refused by the recording double"; },
                          [](Handle* handle) -> Status {
                            *handle = nullptr;
                            return 0;
                          },
                          [](Handle) -> Status { return 0; },
                          create_desc,
                          destroy_desc,
                          set_desc,
                          create_layout,
                          destroy_layout,
                          set_layout,
                          create_preference,
                          destroy_preference,
                          set_preference,
                          heuristic,
                          matmul};
  return api;
}

}  // namespace driftless
