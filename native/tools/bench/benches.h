#pragma once

namespace driftless {

class Arguments;

// Forwards of a transformer with random weights. Prints; returns the exit code.
int bench_dit(const Arguments& arguments);

// Whole sessions of a model on synthetic moving pictures. Prints; returns the exit code.
int bench_stream(const Arguments& arguments);

// Minutes of a looped clip; whether the stream ends as it began. Prints; returns the exit code, 1
// when a bound is broken.
int bench_drift(const Arguments& arguments);

// Cuts a person out of a clip before a blue screen. Prints; returns the exit code.
int bench_matte(const Arguments& arguments);

// A whole session in background mode on a webcam clip. Prints; returns the exit code.
int bench_background(const Arguments& arguments);

// A picture of what a prompt makes of a clip. Prints; returns the exit code.
int bench_look(const Arguments& arguments);

// Looks on a clip, in numbers and pictures. Prints; returns the exit code.
int bench_restyle(const Arguments& arguments);

// Single operations, beside oneDNN's. Prints; returns the exit code.
int bench_ops(const Arguments& arguments);

// Whether two backends paint the same pictures. Prints; returns the exit code, 1 when they do not.
int bench_agree(const Arguments& arguments);

// What the machine gives at best: copies and one large product. Prints; returns the exit code.
int bench_roofline(const Arguments& arguments);

// H.264 of a moving picture, decoded again. Prints; returns the exit code, 1 when what comes back
// is another picture.
int bench_encode(const Arguments& arguments);

// The way of pictures between codecs and model. Prints; returns the exit code, 1 when a GPU shows
// others than the host.
int bench_pictures(const Arguments& arguments);

// An autoencoder of the published size. Prints; returns the exit code.
int bench_codec(const Arguments& arguments);

// What a model's sessions take, predicted and measured. Prints; returns the exit code.
int bench_memory(const Arguments& arguments);

}  // namespace driftless
