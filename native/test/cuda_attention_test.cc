// Attention of the CUDA backend by cuDNN, where that proves itself; by a double of the library.

#include "cuda/recording_cudnn.h"
#include "cuda_ops_test_support.h"

namespace driftless {
namespace {

// Rows of a size at which cuDNN said what our kernel says, and sooner, are its; all others are
// ours.
TEST_F(CudaOps, AttentionByTheLibraryWhereItIsBetter) {
  const int64_t queries = 20, keys = 70, heads = 2, dim = 16, width = heads * dim;
  const auto make_with = [](CudaPrecision precision) {
    CudaOptions options;
    options.precision = precision;
    options.cudnn = &recording_cudnn();
    options.clock = recorded_seconds;
    return make_cuda_ops(options);
  };
  RecordedCudnn& recorded = recorded_cudnn();
  const float scale = 0.25f;
  const Tensor q = random({queries, width}), k = random({keys, width}), v = random({keys, width});
  const Tensor expected = arena.tensor({queries, width}), y = arena.tensor({queries, width});
  for (const int64_t workspace : {4096, 0}) {
    recorded = {};
    recorded.workspace_bytes = workspace;
    const auto ops = make_with(workspace == 0 ? CudaPrecision::f16 : CudaPrecision::bf16);
    const DType narrow = ops->token_dtype();
    EXPECT_FALSE(ops->prepare_attention(queries, keys, heads, 12)) << "not of 16 bytes";
    EXPECT_TRUE(ops->prepare_attention(queries, keys, heads, dim));
    const int tried = recorded.runs;
    EXPECT_TRUE(ops->prepare_attention(queries, keys, heads, dim));
    EXPECT_EQ(tried, recorded.runs) << "once for each size";
    const auto rounded = [&](const Tensor& values) { return CudaOps::rounded(*ops, values); };
    const Tensor q16 = rounded(q), k16 = rounded(k), v16 = rounded(v);
    const Tensor out = arena.tensor({queries, width}, narrow);
    const AttentionRow wide{q.data(), k.data(), v.data(), expected.data(), queries, keys};
    reference->attention(&wide, 1, heads, dim, scale);
    // A row of its size, one of another, and one that would be written over its queries.
    const Tensor others = arena.tensor({3, queries, width}, narrow);
    ops->copy(q16, others.at(1));
    const AttentionRow rows[] = {
        {q16.data(), k16.data(), v16.data(), out.data(), queries, keys, narrow, narrow},
        {q16.data(), k16.data(), v16.data(), others.at(0).data(), queries - 3, keys, narrow,
         narrow},
        {others.at(1).data(), k16.data(), v16.data(), others.at(1).data(), queries, keys, narrow,
         narrow}};
    ops->attention(rows, 3, heads, dim, scale);
    EXPECT_EQ(tried + 1, recorded.runs);
    ops->convert(out, y);
    expect_close(expected, y, 2e-2);
    ops->convert(others.at(1), y);
    expect_close(expected, y, 2e-2);
    // As part of a graph.
    for (int i = 0; i < 3; ++i) {
      ops->clear(out);
      ops->repeated({1}, [&](int64_t) { ops->attention(rows, 1, heads, dim, scale); });
    }
    EXPECT_GT(ops->replays(), 0);
    ops->convert(out, y);
    expect_close(expected, y, 2e-2);
  }
  EXPECT_EQ(std::vector<std::string>(), recorded.problems);
  // No engine, another result, a slow one, tokens of 32 bits: then our own kernel has all rows.
  for (const int reason : {0, 1, 2, 3}) {
    recorded = {};
    recorded.refuses = reason == 0;
    recorded.wrong = reason == 1;
    recorded.delay_ms = reason == 2 ? 200 : 0;
    const auto ops = make_with(reason == 3 ? CudaPrecision::f32 : CudaPrecision::bf16);
    EXPECT_FALSE(ops->prepare_attention(queries, keys, heads, dim)) << reason;
    const int tried = recorded.runs;
    const AttentionRow row{q.data(), k.data(), v.data(), y.data(), queries, keys};
    ops->attention(&row, 1, heads, dim, scale);
    EXPECT_EQ(tried, recorded.runs) << reason;
    expect_close(expected, y, 2e-2);
  }
  EXPECT_EQ(std::vector<std::string>(), recorded.problems);
  EXPECT_EQ(0, recorded.descriptors) << "left behind";
}

}  // namespace
}  // namespace driftless
