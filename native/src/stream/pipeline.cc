#include "stream/pipeline.h"

#include <algorithm>
#include <chrono>
#include <variant>
#include <vector>

#include "core/error.h"
#include "core/json.h"
#include "models/model.h"
#include "stream/denoiser.h"
#include "stream/session.h"

namespace driftless {

namespace {

// The longest prompt in bytes. The encoder reads only the first words; this bounds what it is fed.
constexpr size_t kMaxPromptBytes = 4096;

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
        denoiser_(config_, model_->dit(), model_->ops()),
        prompts_(*model_) {
    info_.name = config_.name;
    info_.width = config_.width;
    info_.height = config_.height;
    info_.frames_per_chunk = config_.frames_per_chunk;
    info_.fps = config_.fps;
    info_.memory = plan_for(config_, options);
    if (const auto smaller = smaller_picture(config_)) {
      info_.smaller_width = smaller->width;
      info_.smaller_height = smaller->height;
    }
  }

  const ModelInfo& info() const override { return info_; }

  // Runs a grey chunk through everything, so that the first picture of the first session does not
  // wait for memory and for the matrix library's preparations; and once more to see what it takes.
  void warm_up() {
    const std::vector<uint8_t> grey(picture_bytes(), 128);
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
    auto session = std::make_unique<Session>(config_, model_->codec(), model_->ops(), identity_,
                                             info_.memory.max_steps, activate(settings, nullptr));
    if (drift_guard_) {
      DriftGuardConfig guard;
      guard.channels = static_cast<int>(config_.latent_channels());
      guard.chunk_s = config_.frames_per_chunk / config_.fps;
      session->drift_guard.emplace(guard, model_->ops());
      session->picture_guard.emplace(guard.chunk_s);
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
  using Row = Denoiser::Row;

  Session& own_session(StreamSession* session) const;
  size_t open_sessions() const { return static_cast<size_t>(identity_.use_count()) - 1; }
  void check(const TransformSettings& settings) const;
  void make_room();
  std::shared_ptr<const ActiveSettings> activate(const TransformSettings& settings,
                                                 const ActiveSettings* before);
  void encode(Job& job);
  void begin(Job& job);
  void resize(Session& session);
  void finish(const Row& row);
  // Of a chunk of the full size.
  size_t picture_bytes() const {
    return static_cast<size_t>(full_picture(config_).rgb(config_.frames_per_chunk).count());
  }

  std::unique_ptr<Model> model_;
  const ModelConfig& config_;
  bool drift_guard_;
  Denoiser denoiser_;
  PromptBank prompts_;
  // Held by each of its sessions too, which tells them from strangers and counts them.
  std::shared_ptr<const int> identity_ = std::make_shared<const int>(0);
  ModelInfo info_;
  // Reused from call to call.
  std::vector<Row> rows_, context_rows_;
  std::vector<uint8_t> still_;
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
  if (!(settings.strength >= 0 && settings.strength <= TransformSettings::kMostStrength)) {
    throw Error("strength", "0 to 2", settings.strength);
  }
  if (settings.steps < 1 || settings.steps > info_.memory.max_steps) {
    throw Error("steps", "1 to " + std::to_string(info_.memory.max_steps), settings.steps);
  }
  if (settings.smaller_picture && info_.smaller_width == 0) {
    throw Error("smaller picture", "a model of more than a few tokens", info_.name);
  }
  if (settings.prompt.size() > kMaxPromptBytes) {
    throw Error("prompt", "at most " + std::to_string(kMaxPromptBytes) + " bytes",
                settings.prompt.size());
  }
}

// So that run() finds room for the rows of every open session.
void ModelPipeline::make_room() {
  const size_t sessions = open_sessions();
  const size_t steps = static_cast<size_t>(info_.memory.max_steps);
  rows_.reserve(sessions * steps);
  context_rows_.reserve(sessions);
  denoiser_.make_room(sessions, steps);
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

// Takes a job's pixels into its session, which nobody else touches meanwhile.
void ModelPipeline::encode(Job& job) {
  Session& session = own_session(job.session);
  ChunkInFlight& chunk = session.begin(job.rgb_in);
  job.result = ChunkResult();
  job.result.noise_scale = chunk.noise_scale;
  session.picture().encode(model_->codec(), job.rgb_in, chunk.latents.clean);
}

// Noises an encoded chunk into row 0 and lists the session's rows.
void ModelPipeline::begin(Job& job) {
  Session& session = own_session(job.session);
  ChunkInFlight& chunk = session.row(0);
  if (chunk.blended) model_->dit().encode_prompt(session.blend().text(), chunk.blend);
  if (session.recache_due()) denoiser_.recache(session);
  if (LatentHistory* history = session.history()) {
    history->push(chunk.index, chunk.noise_scale, chunk.timestep, chunk.latents.clean);
  }
  denoiser_.enter(chunk);
  for (size_t k = 0; k < session.rows(); ++k) {
    if (session.row(k).present) rows_.push_back(Row{&job, &session, &session.row(k), k, {}});
  }
}

// Gives a session the memory of another size, and shows it the last frame as a chunk that stands
// still: rings and autoencoder then know the picture that the next chunk goes on from.
void ModelPipeline::resize(Session& session) {
  if (!session.fit_picture(model_->codec())) return;
  const size_t bytes = picture_bytes(), frames = static_cast<size_t>(config_.frames_per_chunk);
  still_.resize(bytes);
  for (size_t f = 0; f < frames; ++f) {
    std::copy_n(session.last_frame(), bytes / frames, still_.data() + f * (bytes / frames));
  }
  ChunkInFlight& chunk = session.row(0);
  session.picture().encode(model_->codec(), still_.data(), chunk.latents.clean);
  if (LatentHistory* history = session.history()) {
    history->push(chunk.index, chunk.noise_scale, chunk.timestep, chunk.latents.clean);
  }
  denoiser_.enter(chunk);
  const Tensor latents = denoiser_.replay(session, chunk, session.rows());
  denoiser_.mix(chunk, latents);
  session.picture().decode(model_->codec(), latents, still_.data());
}

// Ends a chunk that has been through the last row: the prediction becomes the latents to be
// decoded, which take the output's place.
void ModelPipeline::finish(const Row& row) {
  ChunkInFlight& chunk = *row.chunk;
  row.session->guard(chunk, denoiser_.x0());
  if (config_.schedule.context_pass == ContextPass::clean) {
    // Shown to the network without noise, it takes the noisy one's place in the ring.
    denoiser_.show_clean(chunk);
    row.session->cache(row.step).rewrite();
    context_rows_.push_back(row);
  } else {
    row.session->cache(row.step).finish();
  }
  denoiser_.mix(chunk, row.output);
  chunk.present = false;
  row.job->result.has_frames = true;
  row.job->result.chunk_index_out = chunk.index;
  row.job->result.settings_revision = chunk.settings->revision;
  row.job->result.settings_complete = !chunk.blended;
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
  for (size_t i = 0; i < count; ++i) {
    Session& session = own_session(jobs[i].session);
    if (session.picture_due()) resize(session);
  }
  rows_.clear();
  // Sessions go through the autoencoder side by side, each on a thread of its own.
  model_->ops().each(static_cast<int64_t>(count), [&](int64_t i) { encode(jobs[i]); });
  for (const bool full : {true, false}) {
    for (size_t i = 0; i < count; ++i) {
      const PictureSize& size = own_session(jobs[i].session).picture().size();
      if ((size == full_picture(config_)) == full) begin(jobs[i]);
    }
  }
  if (rows_.empty()) return;
  denoiser_.forward(rows_);
  context_rows_.clear();
  for (const Row& row : rows_) {
    denoiser_.predict(row);
    if (row.step + 1 < row.session->rows()) {
      row.session->cache(row.step).finish();
      denoiser_.step_down(*row.chunk, row.step + 1);
    } else {
      finish(row);
    }
  }
  model_->ops().each(static_cast<int64_t>(rows_.size()), [&](int64_t r) {
    const Row& row = rows_[static_cast<size_t>(r)];
    if (row.step + 1 == row.session->rows()) {
      row.session->picture().decode(model_->codec(), row.output, row.job->rgb_out);
      row.session->guard_pictures(row.job->rgb_in, row.job->rgb_out);
      row.session->steady(*row.chunk, row.job->rgb_out);
    }
  });
  for (const Row& row : rows_) {
    if (!row.session->drift_guard) continue;
    if (row.step + 1 == row.session->rows()) row.session->drift_guard->follow();
    row.job->result.guard = row.session->drift_guard->guard().counters();
    row.job->result.picture_guard = row.session->picture_guard->counters();
  }
  if (context_rows_.empty()) return;
  denoiser_.forward(context_rows_);
  for (const Row& row : context_rows_) row.session->cache(row.step).finish();
}

}  // namespace

std::unique_ptr<Pipeline> Pipeline::load(const ModelOptions& options) {
  if (options.threads < 1) throw Error("threads", "at least 1", options.threads);
  // Before anything is allocated: a model that leaves no room for one session is of no use.
  const std::string json_path = options.dir + "/model.json";
  ModelConfig config = parse_model_config(load_json(json_path), json_path);
  config.dit.kv_dtype = make_ops(options.backend, 1, options.dtype)->kv_dtype();
  plan_for(config, options).admit(0, 0, 1);
  auto pipeline = std::make_unique<ModelPipeline>(options);
  // The plain loops of the reference backend have nothing to prepare and are slow.
  if (options.backend != "reference") pipeline->warm_up();
  return pipeline;
}

}  // namespace driftless
