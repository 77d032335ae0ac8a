#pragma once

// The pipeline over a model: sessions' chunks through autoencoder, noise, transformer and guards.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "models/model.h"
#include "stream/denoiser.h"
#include "stream/pipeline.h"
#include "stream/session.h"

namespace driftless {

// What sessions of this model will take; `ops` are those of the first backend.
MemoryPlan plan_for(const ModelConfig& config, const ModelOptions& options, const Ops& ops);

class ModelPipeline : public Pipeline {
 public:
  // Reads the model.
  explicit ModelPipeline(const ModelOptions& options);

  // Runs a grey chunk through everything, so that the first picture of the first session does not
  // wait for memory and for the matrix library's preparations; and once more to see what it takes.
  void warm_up();

  const ModelInfo& info() const override { return info_; }
  using Pipeline::open;
  std::unique_ptr<StreamSession> open(const TransformSettings& settings,
                                      const PictureSize& size) override;
  bool prompt_ready(const std::string& words) const override {
    return std::holds_alternative<HashedPromptConfig>(config_.prompt) ||
           model_->prompts().ready(words);
  }

  void prepare_prompt(const std::string& words) override { model_->prompts().prepare(words); }
  uint64_t update(StreamSession& session, const TransformSettings& settings) override;
  void run(Job* jobs, size_t count) override {
    start(jobs, count);
    finish();
  }

  size_t depth() const override { return batches_.size(); }
  void start(Job* jobs, size_t count) override;
  void finish() override;
  bool ready() const override { return model_->dit().ready(); }
  void on_ready(std::function<void()> listener) override {
    if (DitRanks* ranks = model_->dit().ranks()) ranks->on_ready(std::move(listener));
  }
  bool wants_rest(const StreamSession& session) const override {
    return own_session(&session).wants_rest();
  }
  std::unique_ptr<VideoOps> video() const override { return model_->ops().video(); }
  double busiest_ms() const override { return busiest_ms_; }

 private:
  using Row = Denoiser::Row;
  // What the autoencoder's device does in one go.
  struct Stretch {
    explicit Stretch(const Ops& ops) : began(ops.make_mark()), ended(ops.make_mark()) {}
    double ms() const { return ended->ms_since(*began); }
    std::unique_ptr<Mark> began, ended;
  };
  struct Batch {
    explicit Batch(const Ops& ops) : first(ops), last(ops) {}
    Denoiser::Batch rows;
    Stretch first, last;  // of start() and of finish()
  };

  const Session& own_session(const StreamSession* session) const;
  Session& own_session(StreamSession* session) const {
    return const_cast<Session&>(own_session(static_cast<const StreamSession*>(session)));
  }
  static bool is_last(const Row& row) { return row.step + 1 == row.session->rows(); }
  // Whether the row's chunk is done and goes through the network once more, without noise.
  bool shown_clean(const Row& row) const {
    return config_.schedule.context_pass == ContextPass::clean && is_last(row);
  }
  int max_steps() const { return static_cast<int>(info_.memory.rows.steps); }
  size_t open_sessions() const { return static_cast<size_t>(identity_.use_count()) - 1; }
  void check(const TransformSettings& settings) const;
  void make_room();
  std::shared_ptr<const ActiveSettings> activate(const TransformSettings& settings,
                                                 const ActiveSettings* before);
  Tensor pixels(const Job& job, uint8_t* rgb) const {
    const PictureSize& size = own_session(job.session).full_size();
    return {DType::u8, size.rgb(config_.frames_per_chunk), rgb, job.memory};
  }
  // Such pixels where the operations can reach them: themselves, or working memory.
  Tensor room_for(const Tensor& pixels) const;
  void encode(Job& job);
  void decode(const Row& row);
  void begin(Job& job, std::vector<Row>& rows);
  void resize(Session& session);
  void end(std::vector<Row>& rows);
  void end(const Row& row);
  std::unique_ptr<Model> model_;
  const ModelConfig& config_;
  bool drift_guard_;
  Denoiser denoiser_;
  PromptBank prompts_;
  // Held by each of its sessions too, which tells them from strangers and counts them.
  std::shared_ptr<const int> identity_ = std::make_shared<const int>(0);
  ModelInfo info_;
  // Under way are `under_way_` of them, from `oldest_` on.
  std::vector<Batch> batches_;
  size_t oldest_ = 0, under_way_ = 0;
  double busiest_ms_ = 0;
  // Reused from call to call.
  Denoiser::Batch context_;
};

}  // namespace driftless
