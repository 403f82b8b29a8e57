#include "integrations/capture/pcap_file.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "integrations/capture/pcap.h"
#include "lib/linux/record_queue.h"
#include "lib/linux/system_error.h"
#include "lib/linux/write_all.h"
#include "trestle/base/error.h"
#include "trestle/linux/private_file.h"

namespace trestle {
namespace {

absl::Status CannotCreate(const std::string& path, absl::string_view why) {
  return ConfigurationError(absl::StrCat("cannot create ", path, ": ", why));
}

// Uses the clock of RFC 9293 3.4.1, so that a reused port gets other numbers.
uint32_t InitialSequence(absl::Time now) {
  return static_cast<uint32_t>(static_cast<uint64_t>(absl::ToUnixMicros(now)) / 4);
}

// An empty record makes the writer continue in the next file.
bool IsSwitch(const QueuedRecord& record) { return record.bytes.empty(); }

bool IsStill(const std::string& path, const struct stat& info) {
  struct stat now;
  return lstat(path.c_str(), &now) == 0 && now.st_dev == info.st_dev && now.st_ino == info.st_ino;
}

}  // namespace

struct PcapFile::Shared {
  explicit Shared(PcapFileOptions with) : options(std::move(with)) {}

  // Calls `on_stopped`, unless that was done before.
  void Stop(const absl::Status& why) ABSL_LOCKS_EXCLUDED(mutex) {
    const absl::MutexLock lock(&mutex);
    StopLocked(why);
  }
  void StopLocked(const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (!std::exchange(stopped, true) && options.on_stopped) options.on_stopped(why);
  }

  const PcapFileOptions options;
  absl::Mutex mutex;
  bool stopped ABSL_GUARDED_BY(mutex) = false;
  uint64_t bytes ABSL_GUARDED_BY(mutex) = 0;  // Size of the file after all pending writes.
  struct stat file ABSL_GUARDED_BY(mutex) = {};
  OwnedFd next_fd ABSL_GUARDED_BY(mutex);
};

// The thread's part.
class PcapFile::Writer final : public RecordConsumer {
 public:
  Writer(std::shared_ptr<Shared> shared, OwnedFd fd)
      : shared_(std::move(shared)), fd_(std::move(fd)) {}

  void Consume(const std::vector<QueuedRecord>& records, int give_up) override {
    for (const QueuedRecord& record : records) {
      if (IsSwitch(record)) {
        TakeNextFile();
      } else if (!failed_) {
        Write(record.bytes, give_up);
      }
    }
  }

  // The producers have reported the loss.
  void OnEmpty(uint64_t /*dropped*/, int /*give_up*/) override {}

 private:
  void TakeNextFile() {
    const absl::MutexLock lock(&shared_->mutex);
    fd_ = std::move(shared_->next_fd);
    bytes_ = PcapFileHeader().size();
    failed_ = false;
  }

  void Write(absl::string_view packets, int give_up) {
    size_t written = 0;
    const int error = WriteAll(fd_.get(), packets, give_up, &written);
    if (error == 0) {
      bytes_ += written;
      return;
    }
    failed_ = true;
    // Readers fail at an incomplete packet.
    const bool whole = ftruncate(fd_.get(), static_cast<off_t>(bytes_)) == 0;
    shared_->Stop(absl::UnavailableError(
        absl::StrCat("cannot write ", shared_->options.dangerous_path, ": ", ErrnoText(error),
                     whole ? "" : "; its last packet is not whole")));
  }

  const std::shared_ptr<Shared> shared_;
  OwnedFd fd_;
  uint64_t bytes_ = PcapFileHeader().size();  // Complete packets only.
  bool failed_ = false;
};

// One connection's part of the file.
class PcapFile::Sink final : public CaptureSink {
 public:
  Sink(PcapFile& file, const Endpoint& client, const Endpoint& server)
      : file_(file), client_(client), server_(server) {}

  void OnOpened(absl::Time now) override {
    const uint32_t sequence = InitialSequence(now);
    packets_.emplace(client_, server_, sequence, ~sequence);
    std::string out;
    packets_->AppendOpen(now, out);
    Append(std::move(out));
  }

  void OnBytes(Direction direction, ByteView bytes, absl::Time now) override {
    std::string out;
    packets_->AppendBytes(SourceOf(direction), bytes, now, out);
    Append(std::move(out));
  }

  void OnEnd(Direction direction, absl::Time now) override {
    std::string out;
    packets_->AppendEnd(SourceOf(direction), now, out);
    Append(std::move(out));
  }

  void OnClosed(const CaptureTotals& totals, absl::Time now) override {
    if (totals.ended_to_backend && totals.ended_to_client) return;
    std::string out;
    packets_->AppendCut(now, out);
    Append(std::move(out));
  }

 private:
  // Drops packets after a loss: a gap would be misleading.
  void Append(std::string packets) {
    if (lost_) {
      ++file_.lost_;
    } else {
      lost_ = !file_.Append(std::move(packets));
    }
  }

  PcapFile& file_;
  const Endpoint client_;
  const Endpoint server_;
  bool lost_ = false;
  std::optional<PcapConversation> packets_;
};

absl::StatusOr<std::unique_ptr<PcapFile>> PcapFile::Create(PcapFileOptions options) {
  absl::StatusOr<OwnedFd> fd = NewFile(options);
  if (!fd.ok()) return fd.status();
  auto shared = std::make_shared<Shared>(std::move(options));
  {
    const absl::MutexLock lock(&shared->mutex);
    fstat(fd->get(), &shared->file);
    shared->bytes = PcapFileHeader().size();
  }
  auto queue = RecordQueue::Start(shared->options.max_queued_bytes,
                                  std::make_unique<Writer>(shared, *std::move(fd)));
  if (!queue.ok()) return queue.status();
  return absl::WrapUnique(new PcapFile(std::move(shared), *std::move(queue)));
}

absl::StatusOr<OwnedFd> PcapFile::NewFile(const PcapFileOptions& options) {
  const std::string& path = options.dangerous_path;
  const std::string header = PcapFileHeader();
  if (options.max_bytes < header.size()) {
    return CannotCreate(path, absl::StrCat("a limit of ", options.max_bytes,
                                           " bytes leaves no room for its header"));
  }
  absl::StatusOr<OwnedFd> fd = CreatePrivateFile(path);
  if (!fd.ok()) return fd;
  size_t written = 0;
  if (const int error = WriteAll(fd->get(), header, /*give_up=*/-1, &written); error != 0) {
    unlink(path.c_str());
    return CannotCreate(path, ErrnoText(error));
  }
  return fd;
}

PcapFile::PcapFile(std::shared_ptr<Shared> shared, std::unique_ptr<RecordQueue> queue)
    : shared_(std::move(shared)), queue_(std::move(queue)) {}

PcapFile::~PcapFile() {
  queue_->Stop(shared_->options.end_limit);
  // A thread that was left behind reports nothing.
  const absl::MutexLock lock(&shared_->mutex);
  shared_->stopped = true;
}

std::unique_ptr<CaptureSink> PcapFile::NewSink(const Endpoint& client, const Endpoint& server) {
  return std::make_unique<Sink>(*this, client, server);
}

bool PcapFile::Append(std::string packets) {
  const absl::MutexLock lock(&shared_->mutex);
  const PcapFileOptions& options = shared_->options;
  const uint64_t bytes = packets.size();
  if (shared_->stopped) {
    ++lost_;
    return false;
  }
  absl::Status status;
  if (bytes > options.max_bytes - shared_->bytes) {
    status = absl::ResourceExhaustedError(absl::StrCat(
        options.dangerous_path, " has come to its limit of ", options.max_bytes, " bytes"));
  } else if (!queue_->Push(std::move(packets))) {
    status = absl::ResourceExhaustedError(
        absl::StrCat("the disk is too slow for ", options.dangerous_path, ": more than ",
                     options.max_queued_bytes, " bytes wait for it"));
  }
  if (status.ok()) {
    shared_->bytes += bytes;
    return true;
  }
  ++lost_;
  shared_->StopLocked(status);
  return false;
}

absl::Status PcapFile::Reopen() {
  const absl::MutexLock lock(&shared_->mutex);
  const std::string& path = shared_->options.dangerous_path;
  if (IsStill(path, shared_->file)) return absl::OkStatus();
  absl::StatusOr<OwnedFd> fd = NewFile(shared_->options);
  if (!fd.ok()) return fd.status();
  struct stat info = {};
  fstat(fd->get(), &info);
  OwnedFd before = std::exchange(shared_->next_fd, *std::move(fd));
  if (!queue_->Push("")) {
    shared_->next_fd = std::move(before);
    unlink(path.c_str());
    return CannotCreate(path, "the old file still has too much to write");
  }
  shared_->file = info;
  shared_->bytes = PcapFileHeader().size();
  shared_->stopped = false;
  return absl::OkStatus();
}

bool PcapFile::Flush(absl::Duration limit) { return queue_->Flush(limit); }

}  // namespace trestle
