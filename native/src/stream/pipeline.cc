#include "stream/pipeline.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <variant>
#include <vector>

#include "core/error.h"
#include "core/json.h"
#include "core/philox.h"
#include "models/model.h"
#include "stream/flow_schedule.h"
#include "stream/session.h"

namespace driftless {

namespace {

// The longest prompt in bytes. The encoder reads only the first words; this bounds what it is fed.
constexpr size_t kMaxPromptBytes = 4096;

// How far the picture moves from the original to the repainted one. The root makes the upper third
// of the scale look fully repainted, as people expect, while 0 is still exactly the original.
float blend_of(float strength) { return std::sqrt(strength); }

MemoryPlan plan_for(const ModelConfig& config, const ModelOptions& options) {
  const int most = static_cast<int>(config.schedule.steps.size());
  return plan_memory(config, options.max_steps == 0 ? most : options.max_steps,
                     options.memory_limit_bytes, options.keep_prompt_encoder);
}

class ModelPipeline : public Pipeline {
 public:
  explicit ModelPipeline(const ModelOptions& options)
      : model_(Model::load(
            options.dir, options.backend, options.threads, options.dtype,
            options.keep_prompt_encoder ? EncoderResidency::keep : EncoderResidency::release)),
        config_(model_->config()),
        drift_guard_(options.drift_guard && config_.schedule.drift_guard),
        schedule_(config_.schedule.shift),
        prompts_(*model_) {
    info_.name = config_.name;
    info_.width = config_.width;
    info_.height = config_.height;
    info_.frames_per_chunk = config_.frames_per_chunk;
    info_.fps = config_.fps;
    info_.memory = plan_for(config_, options);
    latent_shape_ =
        Shape{1, config_.latent_height(), config_.latent_width(), config_.latent_channels()};
    latent_size_ = static_cast<size_t>(latent_shape_.count());
    for (size_t c = 0; c < static_cast<size_t>(config_.latent_channels()); ++c) {
      const float scale = static_cast<float>(config_.schedule.latent_scale);
      const bool raw = config_.schedule.raw_latents;
      input_scale_.push_back(raw ? scale * codec_latent_std(config_.autoencoder)[c] : scale);
      input_shift_.push_back(raw ? scale * codec_latent_mean(config_.autoencoder)[c] : 0.0f);
    }
    x0_.resize(latent_size_);
    noise_.resize(latent_size_);
  }

  const ModelInfo& info() const override { return info_; }

  // Runs a grey chunk through everything, so that the first picture of the first session does not
  // wait for memory and for the matrix library's preparations; and once more to see what it takes.
  void warm_up() {
    const std::vector<uint8_t> grey(static_cast<size_t>(picture_shape().count()), 128);
    std::vector<uint8_t> out(grey.size());
    const std::unique_ptr<StreamSession> session = open(TransformSettings());
    Job job{session.get(), grey.data(), out.data(), {}};
    run(&job, 1);
    const auto start = std::chrono::steady_clock::now();
    run(&job, 1);
    const auto took = std::chrono::steady_clock::now() - start;
    info_.warm_up_ms = std::chrono::duration<double, std::milli>(took).count();
  }

  std::unique_ptr<StreamSession> open(const TransformSettings& settings) override {
    check(settings);
    info_.memory.admit(open_sessions(), prompts_.held(), prompts_.holds(settings.prompt) ? 0 : 1);
    auto session = std::make_unique<Session>(config_, model_->codec(), identity_,
                                             info_.memory.max_steps, activate(settings, nullptr));
    if (drift_guard_) {
      DriftGuardConfig guard;
      guard.channels = static_cast<int>(config_.latent_channels());
      guard.chunk_s = config_.frames_per_chunk / config_.fps;
      session->drift_guard.emplace(guard);
    }
    make_room();
    return session;
  }

  bool prompt_ready(const std::string& words) const override {
    return std::holds_alternative<HashedPromptConfig>(config_.prompt) ||
           model_->prompts().ready(words);
  }

  void prepare_prompt(const std::string& words) override { model_->prompts().prepare(words); }

  uint64_t update(StreamSession& session, const TransformSettings& settings) override {
    Session& own = own_session(&session);
    check(settings);
    if (settings.prompt != own.settings().asked.prompt && !prompts_.holds(settings.prompt)) {
      info_.memory.admit_prompt(open_sessions(), prompts_.held());
    }
    own.set_settings(activate(settings, &own.settings()));
    return own.settings().revision;
  }

  void run(Job* jobs, size_t count) override;

 private:
  // One (session, step) entry of the coming forward.
  struct Row {
    Job* job;
    Session* session;
    ChunkInFlight* chunk;
    size_t step;
  };

  Session& own_session(StreamSession* session) const;
  size_t open_sessions() const { return static_cast<size_t>(identity_.use_count()) - 1; }
  void check(const TransformSettings& settings) const;
  void make_room();
  std::shared_ptr<const ActiveSettings> activate(const TransformSettings& settings,
                                                 const ActiveSettings* before);
  void encode(Job& job);
  void begin(Job& job);
  void enter(ChunkInFlight& chunk);
  void recache(Session& session);
  void forward(const std::vector<Row>& rows);
  void predict(const ChunkInFlight& chunk, const float* output);
  void step_down(ChunkInFlight& chunk, size_t row);
  void finish(const Row& row, float* latents);
  void decode(const Row& row, const float* latents);
  const float* noise_for(const ChunkInFlight& chunk, size_t row);
  Shape picture_shape() const {
    return Shape{config_.frames_per_chunk, config_.height, config_.width, 3};
  }

  std::unique_ptr<Model> model_;
  const ModelConfig& config_;
  bool drift_guard_;
  FlowSchedule schedule_;
  PromptBank prompts_;
  // Held by each of its sessions too, which tells them from strangers and counts them.
  std::shared_ptr<const int> identity_ = std::make_shared<const int>(0);
  ModelInfo info_;
  Shape latent_shape_;
  size_t latent_size_ = 0;
  // From normalised latents to what is noised for row 0, by channel.
  std::vector<float> input_scale_, input_shift_;
  // Reused from call to call.
  std::vector<Row> rows_, context_rows_, recache_rows_;
  std::vector<DitRow> dit_rows_;
  std::vector<float> input_, output_, x0_, noise_;
};

Session& ModelPipeline::own_session(StreamSession* session) const {
  auto* own = dynamic_cast<Session*>(session);
  if (own == nullptr || own->owner() != identity_.get()) {
    throw Error("session", "one that this pipeline opened",
                session == nullptr ? "none" : "another");
  }
  return *own;
}

void ModelPipeline::check(const TransformSettings& settings) const {
  if (!(settings.strength >= 0.0f && settings.strength <= 1.0f)) {
    throw Error("strength", "0 to 1", settings.strength);
  }
  if (settings.steps < 1 || settings.steps > info_.memory.max_steps) {
    throw Error("steps", "1 to " + std::to_string(info_.memory.max_steps), settings.steps);
  }
  if (settings.prompt.size() > kMaxPromptBytes) {
    throw Error("prompt", "at most " + std::to_string(kMaxPromptBytes) + " bytes",
                settings.prompt.size());
  }
}

// So that run() finds room for the rows of every open session.
void ModelPipeline::make_room() {
  const size_t sessions = open_sessions();
  const size_t rows = sessions * static_cast<size_t>(info_.memory.max_steps);
  const size_t pixels = latent_size_ / static_cast<size_t>(config_.latent_channels());
  rows_.reserve(rows);
  dit_rows_.reserve(rows);
  context_rows_.reserve(sessions);
  input_.reserve(rows * pixels * static_cast<size_t>(config_.dit.in_channels));
  output_.reserve(rows * latent_size_);
}

std::shared_ptr<const ActiveSettings> ModelPipeline::activate(const TransformSettings& settings,
                                                              const ActiveSettings* before) {
  auto active = std::make_shared<ActiveSettings>();
  active->asked = settings;
  active->revision = before == nullptr ? 1 : before->revision + 1;
  const bool same_prompt = before != nullptr && before->asked.prompt == settings.prompt;
  active->prompt = same_prompt ? before->prompt : prompts_.get(settings.prompt);
  return active;
}

// Noise for a chunk entering `row`: the stream's own tensor, or fresh values.
const float* ModelPipeline::noise_for(const ChunkInFlight& chunk, size_t row) {
  if (chunk.noise != nullptr) return chunk.noise;
  fill_normal(chunk.settings->asked.seed, 1 + chunk.index, row * latent_size_, noise_.data(),
              latent_size_);
  return noise_.data();
}

// Noises a chunk's clean latents for row 0.
void ModelPipeline::enter(ChunkInFlight& chunk) {
  const float* eps = noise_for(chunk, 0);
  const size_t channels = input_scale_.size();
  for (size_t i = 0; i < latent_size_; ++i) {
    const float input = input_scale_[i % channels] * chunk.clean[i] + input_shift_[i % channels];
    chunk.noisy[i] = (1.0f - chunk.noise_scale) * input + chunk.noise_scale * eps[i];
  }
}

// Takes a job's pixels into its session, which nobody else touches meanwhile.
void ModelPipeline::encode(Job& job) {
  Session& session = own_session(job.session);
  ChunkInFlight& chunk = session.begin(job.rgb_in);
  job.result = ChunkResult();
  job.result.noise_scale = chunk.noise_scale;
  const Tensor rgb(DType::u8, picture_shape(), const_cast<uint8_t*>(job.rgb_in));
  model_->codec().encode(rgb, session.encoder_state(), Tensor(latent_shape_, chunk.clean));
}

// Noises an encoded chunk into row 0 and lists the session's rows.
void ModelPipeline::begin(Job& job) {
  Session& session = own_session(job.session);
  ChunkInFlight& chunk = session.row(0);
  if (chunk.blended) model_->dit().encode_prompt(session.blend().text(), chunk.blend);
  if (session.recache_due()) recache(session);
  if (LatentHistory* history = session.history()) {
    history->push(chunk.index, chunk.noise_scale, chunk.timestep, chunk.clean);
  }
  enter(chunk);
  for (size_t k = 0; k < session.rows(); ++k) {
    if (session.row(k).present) rows_.push_back(Row{&job, &session, &session.row(k), k});
  }
}

// Makes a session's rings anew from the latents of their window, under the newest chunk's settings.
void ModelPipeline::recache(Session& session) {
  const ChunkInFlight& newest = session.row(0);
  LatentHistory& history = *session.history();
  ChunkInFlight& chunk = session.recache_chunk();
  chunk.settings = newest.settings;
  if (chunk.noise != nullptr) std::copy_n(newest.noise, latent_size_, chunk.noise);
  for (size_t k = 0; k < session.rows(); ++k) session.cache(k).restart();
  for (size_t i = 0; i < history.size(); ++i) {
    const LatentHistory::Entry& entry = history[i];
    chunk.index = entry.index;
    chunk.noise_scale = entry.noise_scale;
    chunk.timestep = entry.timestep;
    std::copy_n(entry.clean, latent_size_, chunk.clean);
    enter(chunk);
    // Row k has seen the chunks up to k before the newest one that has been through row 0.
    for (size_t k = 0; k < session.rows() && entry.index + k < newest.index; ++k) {
      recache_rows_.assign(1, Row{nullptr, &session, &chunk, k});
      forward(recache_rows_);
      predict(chunk, output_.data());
      session.cache(k).finish();
      if (k + 1 < session.rows()) step_down(chunk, k + 1);
    }
  }
  chunk.settings.reset();
}

// One forward over the rows of all sessions, into output_.
void ModelPipeline::forward(const std::vector<Row>& rows) {
  const size_t channels = static_cast<size_t>(config_.latent_channels());
  const size_t in_channels = static_cast<size_t>(config_.dit.in_channels);
  const size_t pixels = latent_size_ / channels;
  input_.resize(rows.size() * pixels * in_channels);
  output_.resize(rows.size() * latent_size_);
  dit_rows_.clear();
  for (size_t r = 0; r < rows.size(); ++r) {
    const ChunkInFlight& chunk = *rows[r].chunk;
    float* in = input_.data() + r * pixels * in_channels;
    for (size_t p = 0; p < pixels; ++p, in += in_channels) {
      std::copy_n(chunk.noisy + p * channels, channels, in);
      if (config_.clean_conditioning) {
        std::copy_n(chunk.clean + p * channels, channels, in + channels);
      }
    }
    dit_rows_.push_back(
        DitRow{1, &chunk.timestep, &rows[r].session->cache(rows[r].step), &chunk.prompt()});
  }
  const auto n = static_cast<int64_t>(rows.size());
  const int64_t h = latent_shape_[1], w = latent_shape_[2];
  model_->dit().forward(dit_rows_.data(), n,
                        Tensor({n, h, w, config_.dit.in_channels}, input_.data()),
                        Tensor({n, h, w, config_.dit.out_channels}, output_.data()));
}

// The clean estimate of a chunk, at unit scale, into x0_.
void ModelPipeline::predict(const ChunkInFlight& chunk, const float* output) {
  if (config_.prediction == Prediction::x0) {
    std::copy_n(output, latent_size_, x0_.data());
    return;
  }
  const float scale = static_cast<float>(config_.schedule.latent_scale);
  // The level that the network was told, which an offset may set below the true one.
  const float sigma = schedule_.sigma(chunk.timestep);
  x0_from_flow(chunk.noisy, output, sigma, latent_size_, x0_.data());
  for (float& value : x0_) value /= scale;
}

// Noises x0_ again, for `row`.
void ModelPipeline::step_down(ChunkInFlight& chunk, size_t row) {
  const float scale = static_cast<float>(config_.schedule.latent_scale);
  const float sigma = schedule_.sigma(config_.schedule.steps[row]);
  const float* eps = noise_for(chunk, row);
  chunk.timestep = config_.schedule.steps[row];
  for (size_t i = 0; i < latent_size_; ++i) {
    chunk.noisy[i] = (1.0f - sigma) * scale * x0_[i] + sigma * eps[i];
  }
}

// Ends a chunk that has been through the last row: x0_ becomes the latents to be decoded.
void ModelPipeline::finish(const Row& row, float* latents) {
  ChunkInFlight& chunk = *row.chunk;
  row.session->guard(chunk, x0_.data());
  if (row.session->drift_guard) row.job->result.guard = row.session->drift_guard->counters();
  if (config_.schedule.context_pass == ContextPass::clean) {
    // Shown to the network without noise, it takes the noisy one's place in the ring.
    const float scale = static_cast<float>(config_.schedule.latent_scale);
    for (size_t i = 0; i < latent_size_; ++i) chunk.noisy[i] = scale * x0_[i];
    chunk.timestep = 0;
    row.session->cache(row.step).rewrite();
    context_rows_.push_back(row);
  } else {
    row.session->cache(row.step).finish();
  }
  const float blend = blend_of(chunk.settings->asked.strength);
  for (size_t i = 0; i < latent_size_; ++i) {
    latents[i] = chunk.clean[i] + blend * (x0_[i] - chunk.clean[i]);
  }
  chunk.present = false;
  row.job->result.has_frames = true;
  row.job->result.chunk_index_out = chunk.index;
  row.job->result.settings_revision = chunk.settings->revision;
  row.job->result.settings_complete = !chunk.blended;
}

void ModelPipeline::decode(const Row& row, const float* latents) {
  const Tensor rgb(DType::u8, picture_shape(), row.job->rgb_out);
  model_->codec().decode(Tensor(latent_shape_, const_cast<float*>(latents)),
                         row.session->decoder_state(), rgb);
}

void ModelPipeline::run(Job* jobs, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    own_session(jobs[i].session);
    if (jobs[i].rgb_in == nullptr || jobs[i].rgb_out == nullptr) {
      throw Error("job", "pixels in and out", "a null pointer");
    }
    for (size_t j = 0; j < i; ++j) {
      if (jobs[j].session == jobs[i].session) throw Error("jobs", "each session once", "one twice");
    }
  }
  rows_.clear();
  // Sessions go through the autoencoder side by side, each on a thread of its own.
  model_->ops().each(static_cast<int64_t>(count), [&](int64_t i) { encode(jobs[i]); });
  for (size_t i = 0; i < count; ++i) begin(jobs[i]);
  if (rows_.empty()) return;
  forward(rows_);
  context_rows_.clear();
  for (size_t r = 0; r < rows_.size(); ++r) {
    const Row& row = rows_[r];
    predict(*row.chunk, output_.data() + r * latent_size_);
    if (row.step + 1 < row.session->rows()) {
      row.session->cache(row.step).finish();
      step_down(*row.chunk, row.step + 1);
    } else {
      finish(row, output_.data() + r * latent_size_);
    }
  }
  model_->ops().each(static_cast<int64_t>(rows_.size()), [&](int64_t r) {
    const Row& row = rows_[static_cast<size_t>(r)];
    if (row.step + 1 == row.session->rows()) {
      decode(row, output_.data() + static_cast<size_t>(r) * latent_size_);
    }
  });
  if (context_rows_.empty()) return;
  forward(context_rows_);
  for (const Row& row : context_rows_) row.session->cache(row.step).finish();
}

}  // namespace

std::unique_ptr<Pipeline> Pipeline::load(const ModelOptions& options) {
  if (options.threads < 1) throw Error("threads", "at least 1", options.threads);
  // Before anything is allocated: a model that leaves no room for one session is of no use.
  const std::string json_path = options.dir + "/model.json";
  plan_for(parse_model_config(load_json(json_path), json_path), options).admit(0, 0, 1);
  auto pipeline = std::make_unique<ModelPipeline>(options);
  // The plain loops of the reference backend have nothing to prepare and are slow.
  if (options.backend == "cpu") pipeline->warm_up();
  return pipeline;
}

}  // namespace driftless
