// The sizes every kernel is run with: ragged edges of tiles, warps and vectors, single rows, odd
// widths and addresses, and the engine's own head sizes.

#include "cuda/kernel_checks.h"

namespace driftless {

namespace {

/// Cases without a dtype run in every type the kernel has.
const char* const kQuick[] = {
    "attention queries=13 keys=33 heads=3",
    "attention queries=65 keys=129 heads=1 head_dim=128",
    "attention queries=5 keys=64 heads=2 head_dim=24 large=1",
    "attention queries=3 keys=20 heads=2 head_dim=20",
    "attention queries=3 keys=20 heads=1 head_dim=64 offset=1",
    "conv2d",
    "conv2d staged=0",
    "conv2d n=1 h=9 w=8 first=3 out=5 stride=2",
    "conv2d n=1 h=12 w=13 first=8 second=24 out=3",
    "conv2d n=1 h=5 w=6 first=16 out=20 upsample2=1 phases=1",
    "conv2d n=2 h=3 w=4 first=5 out=9 upsample2=1 phases=1",
    "conv2d n=1 h=4 w=5 first=8 second=8 out=70 upsample2=1",
    "conv2d n=1 h=8 w=9 first=40 out=64 kernel=1 offset=1",
    "causal_conv3d",
    "causal_conv3d staged=0",
    "causal_conv3d clips=1 frames=1 in=3 out=4 past=0",
    "linear",
    "linear rows=1 in=7 out=3",
    "linear rows=64 in=64 out=64",
    "linear narrow=1",
    "linear narrow=1 staged=1 rows=140",
    "linear narrow=1 rows=5 in=33 out=17",
    "linear eight=1 narrow=1 rows=5 in=24 out=17",
    "layer_norm",
    "layer_norm width=261 affine=0",
    "layer_norm width=1536 rows=2 modulate=0 offset=1",
    "layer_norm width=1 modulate=0",
    "layer_norm from_f32=1",
    "layer_norm from_f32=1 width=63 affine=0",
    "rms_norm",
    "rms_norm width=1030",
    "rms_norm width=1536 rows=2 offset=1",
    "rope3d",
    "rope3d head_dim=128 heads=3 frames=3",
    "rope3d head_dim=16 width=1",
    "ring",
    "ring kv_frames=6 sinks=2 chunks=14 head_dim=20 rows=3 heads=1",
    "ring kv_frames=3 sinks=0 chunks=5 head_dim=128 heads=1",
    "ring threshold=2",
    "ring_e4m3 kv_frames=5 sinks=1 chunks=9 head_dim=20 rows=3 heads=1",
    "ring_e4m3 threshold=2",
    "ring threshold=2 kv_frames=5 sinks=3 head_dim=20 heads=1 rows=3",
    "activate",
    "activate count=7 activation=2",
    "activate count=4096 activation=1 offset=1",
    "linear_tail",
    "linear_tail width=33 activation=0",
    "linear_tail width=64 groups=1 activation=2 offset=1",
    "tanh_clamp",
    "axpby",
    "axpby of_rows=0 width=33",
    "axpby rows=5 width=256 offset=1",
    "affine_channels",
    "affine_channels width=13",
    "mix_channels",
    "mix_channels rows=1 in=3 out=3",
    "mean_rows",
    "mean_rows rows=1 width=300",
    "square_differences",
    "square_differences count=5",
    "timestep_embedding",
    "normal_noise",
    "normal_noise count=5 first=3",
    "normal_noise count=1 first=6",
    "channel_moments",
    "channel_moments rows=1 width=3",
    "refresh_sink",
    "refresh_sink sinks=3 width=40 tokens=2 threshold=2",
    "refresh_sink threshold=-2",
    "refresh_sink rows=1 sinks=2 width=33 tokens=17",
    "clamp",
    "copy_channels",
    "copy_channels in=5 out=7 from=2 to=3 count=3",
    "upsample2",
    "upsample2 c=3 w=1",
    "shuffles",
    "shuffles c=3 r=3",
    "unpatchify",
    "unpatchify c=3 r=1",
    "frames",
    "frames c=5 t=3",
    "planes",
    "planes c=3 n=1 h=1",
    "upsample_bilinear",
    "upsample_bilinear repeat=1 scale=2 accumulate=0 h=1",
    "average_pool",
    "average_pool t=1 scale=1 c=3",
    "bytes",
    "bytes count=33 offset=1",
    "nv12",
    "nv12 h=2 w=2 padding=0",
};

const char* const kMore[] = {
    "attention queries=1 keys=1 heads=1",
    "attention queries=64 keys=64 heads=1 head_dim=128",
    "attention queries=200 keys=700 heads=2 head_dim=128",
    "attention queries=129 keys=65 heads=5 head_dim=8",
    "attention queries=63 keys=191 heads=2 head_dim=104",
    "attention queries=40 keys=512 heads=3 head_dim=64 large=1",
    "attention queries=9 keys=50 heads=1 head_dim=384",
    "attention queries=30 keys=100 heads=2 head_dim=2",
    "conv2d n=1 h=1 w=1 first=1 out=1",
    "conv2d n=3 h=17 w=13 first=64 out=64",
    "conv2d n=3 h=17 w=13 first=64 out=64 staged=0",
    "conv2d n=2 h=11 w=9 first=64 out=66 upsample2=1 phases=1",
    "conv2d n=1 h=9 w=17 first=40 out=16 upsample2=1 phases=1 staged=0",
    "conv2d n=1 h=19 w=7 first=128 second=64 out=72 stride=2",
    "conv2d n=1 h=1 w=3 first=8 out=1 kernel=1",
    "conv2d n=1 h=16 w=16 first=96 out=96 stride=2",
    "conv2d n=2 h=5 w=7 first=24 second=40 out=130",
    "conv2d n=1 h=11 w=6 first=16 second=3 out=9 upsample2=1",
    "conv2d n=1 h=30 w=20 first=48 out=12 kernel=1",
    "causal_conv3d clips=1 frames=4 h=9 w=7 in=32 out=65",
    "causal_conv3d clips=1 frames=4 h=9 w=17 in=72 out=64",
    "causal_conv3d clips=3 frames=2 h=3 w=3 in=6 out=6",
    "linear rows=300 in=192 out=200",
    "linear rows=129 in=33 out=65",
    "linear narrow=1 staged=1 rows=300 in=192 out=200",
    "linear rows=200 in=256 out=130 narrow=1 eight=1",
    "layer_norm rows=40 width=5120 groups=4",
    "layer_norm from_f32=1 rows=6 width=1536 offset=4",
    "layer_norm rows=3 width=7 groups=3",
    "rms_norm rows=30 width=5120",
    "rms_norm rows=3 width=3",
    "rope3d frames=1 height=30 width=52 heads=1 head_dim=128",
    "ring kv_frames=6 sinks=1 chunks=20 rows=4 height=5 width=7 heads=3 head_dim=64",
    "ring kv_frames=2 sinks=1 chunks=7 rows=1",
    "ring_e4m3 kv_frames=6 sinks=1 chunks=14 rows=2 height=5 width=7 heads=3 head_dim=64",
    "ring kv_frames=4 sinks=2 chunks=9 threshold=2 height=5 width=7 heads=3 head_dim=64",
    "activate count=100003",
    "linear_tail rows=60 width=1536 groups=4",
    "axpby rows=4 width=10007",
    "affine_channels rows=1000 width=96",
    "mix_channels rows=5000 in=16 out=12",
    "mean_rows rows=500 width=1000",
    "square_differences count=300000",
    "normal_noise count=100001 first=4294967301",
    "channel_moments rows=5000 width=16",
    "refresh_sink sinks=2 tokens=70 width=1536",
    "copy_channels rows=9000 in=16 out=32 from=0 to=16 count=16",
    "upsample2 n=3 h=17 w=19 c=64",
    "shuffles n=1 h=9 w=11 c=12 r=4",
    "unpatchify n=3 h=15 w=26 c=16",
    "frames n=1 h=20 w=30 c=64 t=2",
    "planes n=2 h=33 w=35 c=48",
    "upsample_bilinear n=1 h=9 w=16 c=8 repeat=4 scale=8",
    "average_pool n=1 h=9 w=16 c=3 t=4 scale=8",
    "bytes count=100003",
    "nv12 h=34 w=600",
};

}  // namespace

std::vector<KernelCase> kernel_cases(bool quick) {
  std::vector<KernelCase> cases;
  const std::vector<KernelCase> defaults = kernel_defaults();
  const auto add = [&](const char* text) {
    const KernelCase parsed = KernelCase::parse(text);
    for (const KernelCase& known : defaults) {
      if (known.kernel != parsed.kernel) continue;
      cases.push_back(parsed);
      cases.back().dtype = known.dtype;
    }
  };
  for (const char* text : kQuick) add(text);
  if (!quick) {
    for (const char* text : kMore) add(text);
  }
  return cases;
}

}  // namespace driftless
