#include "stream/model_pipeline.h"

#include <algorithm>
#include <chrono>

#include "core/error.h"

namespace driftless {

namespace {

// The longest prompt in bytes. The encoder reads only the first words; this bounds what it is fed.
constexpr size_t kMaxPromptBytes = 4096;

// Batches that may be under way: one at each rank, and one at the autoencoder.
size_t depth_of(const ModelConfig& config, const ModelOptions& options) {
  const size_t ranks = Model::ranks_of(config, options.backend).size();
  // A clean context pass ends a chunk in every block before the next one may begin in the first.
  const bool one_by_one = config.schedule.context_pass == ContextPass::clean;
  return one_by_one ? 1 : ranks + 1;
}

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

}  // namespace

MemoryPlan plan_for(const ModelConfig& config, const ModelOptions& options, const Ops& ops) {
  const int most = static_cast<int>(config.schedule.steps.size());
  return plan_memory(config, options.max_steps == 0 ? most : options.max_steps,
                     options.memory_limit_bytes, options.keep_prompt_encoder,
                     depth_of(config, options), ops.memory().kind() != Memory::host);
}

ModelPipeline::ModelPipeline(const ModelOptions& options)
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
  info_.memory = plan_for(config_, options, model_->ops());
  batches_.reserve(info_.memory.rows.depth);
  for (size_t i = 0; i < info_.memory.rows.depth; ++i) batches_.emplace_back(model_->ops());
  if (const auto smaller = smaller_picture(config_)) {
    info_.smaller_width = smaller->width;
    info_.smaller_height = smaller->height;
  }
  for (const PictureSize& size : config_.sizes()) {
    info_.sizes.push_back({size, smaller_picture(config_, size).value_or(size)});
  }
}

void ModelPipeline::warm_up() {
  for (const ModelInfo::Size& size : info_.sizes) {
    model_->prepare(size.full.width, size.full.height);
    if (size.smaller != size.full) model_->prepare(size.smaller.width, size.smaller.height);
  }
  const Shape chunk = info_.size().rgb(config_.frames_per_chunk);
  const std::vector<uint8_t> grey(static_cast<size_t>(chunk.count()), 128);
  std::vector<uint8_t> out(grey.size());
  const std::unique_ptr<StreamSession> session = open(TransformSettings());
  Job job{session.get(), grey.data(), out.data(), {}};
  for (size_t i = 0; i < depth(); ++i) run(&job, 1);
  const auto began = Clock::now();
  run(&job, 1);
  info_.warm_up_ms = milliseconds_since(began);
}

std::unique_ptr<StreamSession> ModelPipeline::open(const TransformSettings& settings,
                                                   const PictureSize& size) {
  check(settings);
  const bool known = std::any_of(info_.sizes.begin(), info_.sizes.end(),
                                 [&](const auto& each) { return each.full == size; });
  DL_CHECK(known, "size of a session", "one of the model's",
           std::to_string(size.width) + "x" + std::to_string(size.height));
  info_.memory.admit(open_sessions(), prompts_.held(), prompts_.holds(settings.prompt) ? 0 : 1);
  auto session = std::make_unique<Session>(*model_, identity_, info_.memory.rows,
                                           activate(settings, nullptr), size);
  if (drift_guard_) {
    DriftGuardConfig guard;
    guard.channels = static_cast<int>(config_.latent_channels());
    guard.chunk_s = config_.frames_per_chunk / config_.fps;
    session->drift_guard.emplace(guard, model_->ops());
    session->picture_guard.emplace(model_->ops(), guard.chunk_s);
  }
  make_room();
  return session;
}

uint64_t ModelPipeline::update(StreamSession& session, const TransformSettings& settings) {
  Session& own = own_session(&session);
  check(settings);
  if (settings.prompt != own.settings().asked.prompt && !prompts_.holds(settings.prompt)) {
    info_.memory.admit_prompt(open_sessions(), prompts_.held());
  }
  own.set_settings(activate(settings, &own.settings()));
  return own.settings().revision;
}

const Session& ModelPipeline::own_session(const StreamSession* session) const {
  auto* own = dynamic_cast<const Session*>(session);
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
  if (settings.steps < 1 || settings.steps > max_steps()) {
    throw Error("steps", "1 to " + std::to_string(max_steps()), settings.steps);
  }
  if (settings.smaller_picture && info_.smaller_width == 0) {
    throw Error("smaller picture", "a model of more than a few tokens", info_.name);
  }
  if (settings.prompt.size() > kMaxPromptBytes) {
    throw Error("prompt", "at most " + std::to_string(kMaxPromptBytes) + " bytes",
                settings.prompt.size());
  }
}

// So that the next batch finds room for the rows of every open session; those under way have
// theirs.
void ModelPipeline::make_room() {
  const size_t sessions = open_sessions();
  const bool clean = config_.schedule.context_pass == ContextPass::clean;
  for (size_t i = under_way_; i < batches_.size(); ++i) {
    denoiser_.make_room(batches_[(oldest_ + i) % batches_.size()].rows, sessions,
                        info_.memory.rows.steps);
  }
  if (clean) denoiser_.make_room(context_, sessions, 1);
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

Tensor ModelPipeline::room_for(const Tensor& pixels) const {
  Ops& ops = model_->ops();
  if (pixels.memory() != Memory::host || ops.memory().kind() == Memory::host) return pixels;
  return ops.arena().tensor(pixels.shape(), DType::u8);
}

// Takes a job's pixels into its session, which nobody else touches meanwhile.
void ModelPipeline::encode(Job& job) {
  Session& session = own_session(job.session);
  Ops& ops = model_->ops();
  const ArenaScope scope(ops.arena());
  const Tensor in = pixels(job, const_cast<uint8_t*>(job.rgb_in)), rgb = room_for(in);
  if (rgb.data() != in.data()) ops.copy(in, rgb);
  ChunkInFlight& chunk = session.begin(rgb);
  job.result = ChunkResult();
  job.result.noise_scale = chunk.noise_scale;
  session.picture().encode(model_->codec(), rgb, chunk.latents.clean);
}

// Makes pictures of a chunk that is done.
void ModelPipeline::decode(const Row& row) {
  Session& session = *row.session;
  Ops& ops = model_->ops();
  const ArenaScope scope(ops.arena());
  const Tensor out = pixels(*row.job, row.job->rgb_out), rgb = room_for(out);
  session.picture().decode(model_->codec(), row.output, rgb);
  session.guard_pictures(*row.chunk, rgb);
  session.steady(*row.chunk, rgb);
  if (rgb.data() != out.data()) ops.copy(rgb, out);
}

// Noises an encoded chunk into row 0 and lists the session's rows.
void ModelPipeline::begin(Job& job, std::vector<Row>& rows) {
  Session& session = own_session(job.session);
  ChunkInFlight& chunk = session.newest();
  if (chunk.blended) model_->dit().encode_prompt(session.blend().text(), *chunk.blend);
  if (session.recache_due()) denoiser_.recache(session);
  if (LatentHistory* history = session.history()) {
    history->push(chunk.index, chunk.noise_scale, chunk.timestep, chunk.latents.clean);
  }
  denoiser_.enter(chunk);
  for (size_t k = 0; k < session.rows(); ++k) {
    if (ChunkInFlight* next = session.take_step(k)) {
      rows.push_back(Row{&job, &session, next, k, {}});
    }
  }
}

// Gives a session the memory of another size, and shows it the last frame as a chunk that stands
// still: rings and autoencoder then know the picture that the next chunk goes on from.
void ModelPipeline::resize(Session& session) {
  if (!session.fit_picture()) return;
  Ops& ops = model_->ops();
  const ArenaScope scope(ops.arena());
  const Tensor still =
      ops.arena().tensor(session.full_size().rgb(config_.frames_per_chunk), DType::u8);
  for (int f = 0; f < config_.frames_per_chunk; ++f) ops.copy(session.last_frame(), still.at(f));
  ChunkInFlight& chunk = session.newest();
  session.picture().encode(model_->codec(), still, chunk.latents.clean);
  if (LatentHistory* history = session.history()) {
    history->push(chunk.index, chunk.noise_scale, chunk.timestep, chunk.latents.clean);
  }
  denoiser_.enter(chunk);
  const Tensor latents = denoiser_.replay(session, chunk, session.rows());
  denoiser_.mix(chunk, latents);
  session.picture().decode(model_->codec(), latents, still);
}

void ModelPipeline::start(Job* jobs, size_t count) {
  DL_CHECK(under_way_ < depth(), "batches under way", "less than " + std::to_string(depth()),
           under_way_);
  for (size_t i = 0; i < count; ++i) {
    const Session& session = own_session(jobs[i].session);
    if (jobs[i].rgb_in == nullptr || jobs[i].rgb_out == nullptr) {
      throw Error("job", "pixels in and out", "a null pointer");
    }
    DL_CHECK(jobs[i].memory == Memory::host || model_->ops().memory().kind() != Memory::host,
             "pixels of a job", "the host's memory", "a device's");
    for (size_t j = 0; j < i; ++j) {
      if (jobs[j].session == jobs[i].session) throw Error("jobs", "each session once", "one twice");
    }
    DL_CHECK(under_way_ == 0 || !session.wants_rest(), "session",
             "one that does not want rest while batches are under way", "one that does");
  }
  Batch& batch = batches_[(oldest_ + under_way_) % batches_.size()];
  batch.first.began->set();
  for (size_t i = 0; i < count; ++i) {
    Session& session = own_session(jobs[i].session);
    if (session.picture_due()) resize(session);
  }
  std::vector<Row>& rows = batch.rows.rows;
  rows.clear();
  // Sessions go through the autoencoder side by side, each on a thread of its own.
  model_->ops().each(static_cast<int64_t>(count), [&](int64_t i) { encode(jobs[i]); });
  // Rows of one size stand together: they are one forward.
  const auto size_of = [&](size_t i) { return own_session(jobs[i].session).picture().size(); };
  for (size_t i = 0; i < count; ++i) {
    size_t first = 0;
    while (size_of(first) != size_of(i)) ++first;
    for (size_t j = i; first == i && j < count; ++j) {
      if (size_of(j) == size_of(i)) begin(jobs[j], rows);
    }
  }
  denoiser_.start(batch.rows);
  ++under_way_;
  // The next chunk may go where this one has not been yet.
  for (const Row& row : rows) {
    if (!shown_clean(row)) row.session->cache(row.step).finish();
  }
  batch.first.ended->set();
}

void ModelPipeline::finish() {
  DL_CHECK(under_way_ > 0, "finish", "a batch under way", "none");
  Batch& batch = batches_[oldest_];
  oldest_ = (oldest_ + 1) % batches_.size();
  --under_way_;
  denoiser_.finish(batch.rows);
  batch.last.began->set();
  end(batch.rows.rows);
  batch.last.ended->set();
  // Whoever brought the pixels may write to them now, and others read what came out, on streams of
  // their own.
  batch.last.ended->wait();
  if (DitRanks* ranks = model_->dit().ranks()) {
    busiest_ms_ = std::max(batch.first.ms() + batch.last.ms(), ranks->busiest_ms());
  }
}

// Ends a chunk that has been through the last row: the prediction becomes the latents to be
// decoded, which take the output's place.
void ModelPipeline::end(const Row& row) {
  ChunkInFlight& chunk = *row.chunk;
  row.session->guard(chunk, denoiser_.x0());
  if (shown_clean(row)) {
    // Shown to the network without noise, it takes the noisy one's place in the ring.
    denoiser_.show_clean(chunk);
    row.session->cache(row.step).rewrite();
    context_.rows.push_back(row);
  }
  denoiser_.mix(chunk, row.output);
  chunk.present = chunk.under_way = false;
  row.job->result.has_frames = true;
  row.job->result.chunk_index_out = chunk.index;
  row.job->result.settings_revision = chunk.settings->revision;
  row.job->result.settings_complete = !chunk.blended;
}

// Makes of what the network said the rows' next step, or pictures.
void ModelPipeline::end(std::vector<Row>& rows) {
  context_.rows.clear();
  for (const Row& row : rows) {
    denoiser_.predict(row);
    if (is_last(row)) {
      end(row);
    } else {
      denoiser_.step_down(*row.chunk, row.step + 1);
      row.chunk->step = row.step + 1;
      row.chunk->under_way = false;
    }
  }
  model_->ops().each(static_cast<int64_t>(rows.size()), [&](int64_t r) {
    if (is_last(rows[static_cast<size_t>(r)])) decode(rows[static_cast<size_t>(r)]);
  });
  for (const Row& row : rows) {
    if (!row.session->drift_guard) continue;
    if (is_last(row)) row.session->drift_guard->follow();
    row.job->result.guard = row.session->drift_guard->guard().counters();
    row.job->result.picture_guard = row.session->picture_guard->counters();
  }
  if (context_.rows.empty()) return;
  denoiser_.start(context_);
  denoiser_.finish(context_);
  for (const Row& row : context_.rows) row.session->cache(row.step).finish();
}

}  // namespace driftless
