#include "trestle/posix/pcap_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <optional>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/posix/system_error.h"
#include "trestle/wire/pcap.h"

namespace trestle {
namespace {

absl::Status CannotCreate(const std::string& path, absl::string_view why) {
  return EdgeError(ErrorCode::kConfiguration, Phase::kSetUp,
                   absl::StrCat("cannot create ", path, ": ", why));
}

// Returns 0 or an errno value.
int WriteAll(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return 0;
}

// As TCP's own clock of RFC 9293 3.4.1: a port that is used again gets other numbers.
uint32_t InitialSequence(absl::Time now) {
  return static_cast<uint32_t>(static_cast<uint64_t>(absl::ToUnixMicros(now)) / 4);
}

}  // namespace

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
    file_.Append(out);
  }

  void OnBytes(Direction direction, ByteView bytes, absl::Time now) override {
    std::string out;
    packets_->AppendBytes(SourceOf(direction), bytes, now, out);
    file_.Append(out);
  }

  void OnEnd(Direction direction, absl::Time now) override {
    std::string out;
    packets_->AppendEnd(SourceOf(direction), now, out);
    file_.Append(out);
  }

  void OnClosed(const CaptureTotals& totals, absl::Time now) override {
    if (totals.ended_to_backend && totals.ended_to_client) return;
    std::string out;
    packets_->AppendCut(now, out);
    file_.Append(out);
  }

 private:
  PcapFile& file_;
  const Endpoint client_;
  const Endpoint server_;
  std::optional<PcapConversation> packets_;
};

absl::StatusOr<std::unique_ptr<PcapFile>> PcapFile::Create(PcapFileOptions options) {
  const std::string& path = options.dangerous_path;
  const std::string header = PcapFileHeader();
  if (options.max_bytes < header.size()) {
    return CannotCreate(path, absl::StrCat("a limit of ", options.max_bytes,
                                           " bytes leaves no room for its header"));
  }
  OwnedFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.valid()) {
    return CannotCreate(path, errno == EEXIST ? "it is there already, and nothing is overwritten"
                                              : ErrnoText(errno));
  }
  if (const int error = WriteAll(fd.get(), header); error != 0) {
    unlink(path.c_str());
    return CannotCreate(path, ErrnoText(error));
  }
  return absl::WrapUnique(new PcapFile(std::move(options), std::move(fd)));
}

PcapFile::PcapFile(PcapFileOptions options, OwnedFd fd)
    : options_(std::move(options)), fd_(std::move(fd)), bytes_(PcapFileHeader().size()) {}

std::unique_ptr<CaptureSink> PcapFile::NewSink(const Endpoint& client, const Endpoint& server) {
  return std::make_unique<Sink>(*this, client, server);
}

void PcapFile::Append(absl::string_view packets) {
  absl::Status status;
  {
    const absl::MutexLock lock(&mutex_);
    if (stopped_) return;
    status = AppendLocked(packets);
    stopped_ = !status.ok();
  }
  if (!status.ok() && options_.on_stopped) options_.on_stopped(status);
}

absl::Status PcapFile::AppendLocked(absl::string_view packets) {
  const std::string& path = options_.dangerous_path;
  if (packets.size() > options_.max_bytes - bytes_) {
    return absl::ResourceExhaustedError(
        absl::StrCat(path, " has come to its limit of ", options_.max_bytes, " bytes"));
  }
  if (const int error = WriteAll(fd_.get(), packets); error != 0) {
    // Readers stumble over half a packet.
    const bool whole = ftruncate(fd_.get(), static_cast<off_t>(bytes_)) == 0;
    return absl::UnavailableError(absl::StrCat("cannot write ", path, ": ", ErrnoText(error),
                                               whole ? "" : "; its last packet is not whole"));
  }
  bytes_ += packets.size();
  return absl::OkStatus();
}

}  // namespace trestle
