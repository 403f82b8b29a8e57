#include "trestle/linux/log_writer.h"

#include <atomic>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "lib/linux/record_queue.h"
#include "lib/linux/system_error.h"
#include "lib/linux/write_all.h"
#include "trestle/base/error.h"

namespace trestle {

// State shared with the thread, which may outlive the LogWriter.
struct LogWriter::Shared {
  std::atomic<uint64_t> failed = 0;  // Lines that couldn't be written.
  absl::Mutex mutex;
  OwnedFd next_fd ABSL_GUARDED_BY(mutex);
};

// The thread's part: writes lines, and reports missing ones.
class LogWriter::Lines final : public RecordConsumer {
 public:
  Lines(OwnedFd fd, absl::AnyInvocable<std::string(uint64_t) const> loss_line,
        std::shared_ptr<Shared> shared)
      : fd_(std::move(fd)), loss_line_(std::move(loss_line)), shared_(std::move(shared)) {}

  void Consume(const std::vector<QueuedRecord>& records, int give_up) override {
    for (const QueuedRecord& record : records) {
      unreported_ += record.dropped_before;
      AddLoss();
      Add(record.bytes, 0);
    }
    WritePieces(give_up);
  }

  void OnEmpty(uint64_t dropped, int give_up) override {
    unreported_ += dropped;
    AddLoss();
    WritePieces(give_up);
  }

 private:
  // A line in `text_`.
  struct Piece {
    size_t end;
    uint64_t lost_lines;  // Number of lost lines that it reports; 0 for a line of the log.
  };

  void Add(absl::string_view line, uint64_t lost_lines) {
    absl::StrAppend(&text_, line);
    pieces_.push_back({text_.size(), lost_lines});
  }

  void AddLoss() {
    if (unreported_ == 0 || loss_line_ == nullptr) return;
    const uint64_t lost = std::exchange(unreported_, 0);
    Add(absl::StrCat(loss_line_(lost), "\n"), lost);
  }

  void WritePieces(int give_up) {
    TakeNextFd();
    // An incomplete line gets a line feed, and its rest is dropped.
    const size_t torn_bytes = torn_ ? 1 : 0;
    if (torn_) text_.insert(0, "\n");
    size_t written = 0;
    const int error = WriteAll(fd_.get(), text_, give_up, &written);
    if (written > 0) torn_ = text_[written - 1] != '\n';
    for (const Piece& piece : pieces_) {
      if (error == 0 || piece.end + torn_bytes <= written) continue;
      unreported_ += piece.lost_lines == 0 ? 1 : piece.lost_lines;
      if (piece.lost_lines == 0) ++shared_->failed;
    }
    text_.clear();
    pieces_.clear();
  }

  void TakeNextFd() {
    absl::MutexLock lock(&shared_->mutex);
    if (!shared_->next_fd.valid()) return;
    fd_ = std::move(shared_->next_fd);
    torn_ = false;
  }

  OwnedFd fd_;
  const absl::AnyInvocable<std::string(uint64_t) const> loss_line_;
  const std::shared_ptr<Shared> shared_;
  std::string text_;
  std::vector<Piece> pieces_;
  uint64_t unreported_ = 0;  // Number of lost lines.
  bool torn_ = false;        // The last line has no line feed.
};

struct LogWriter::Parts {
  size_t max_line_bytes;
  absl::Duration end_limit;
  std::shared_ptr<Shared> shared;
  std::unique_ptr<RecordQueue> queue;
};

absl::StatusOr<std::unique_ptr<LogWriter>> LogWriter::Start(OwnedFd fd, LogWriterOptions options) {
  if (options.max_line_bytes < 1 || options.max_line_bytes >= options.max_queued_bytes) {
    return ConfigurationError(
        "a log's lines must have a limit above 0 and below that of its queue");
  }
  auto parts = std::make_unique<Parts>();
  parts->max_line_bytes = options.max_line_bytes;
  parts->end_limit = options.end_limit;
  parts->shared = std::make_shared<Shared>();
  auto lines = std::make_unique<Lines>(std::move(fd), std::move(options.loss_line), parts->shared);
  auto queue = RecordQueue::Start(options.max_queued_bytes, std::move(lines));
  if (!queue.ok()) return queue.status();
  parts->queue = *std::move(queue);
  return absl::WrapUnique(new LogWriter(std::move(parts)));
}

LogWriter::LogWriter(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

LogWriter::~LogWriter() { parts_->queue->Stop(parts_->end_limit); }

void LogWriter::Write(absl::string_view line) {
  const size_t max_bytes = parts_->max_line_bytes;
  parts_->queue->Push(line.size() <= max_bytes ? absl::StrCat(line, "\n")
                                               : absl::StrCat(line.substr(0, max_bytes), "…(",
                                                              line.size(), " bytes)\n"));
}

bool LogWriter::Flush(absl::Duration limit) { return parts_->queue->Flush(limit); }

void LogWriter::Replace(OwnedFd fd) {
  absl::MutexLock lock(&parts_->shared->mutex);
  parts_->shared->next_fd = std::move(fd);
}

uint64_t LogWriter::lines_lost() const {
  return parts_->queue->dropped() + parts_->shared->failed.load();
}

}  // namespace trestle
