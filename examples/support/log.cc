#include "examples/support/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "trestle/base/error.h"
#include "trestle/linux/owned_fd.h"
#include "trestle/linux/private_file.h"

namespace trestle::examples {
namespace {

constexpr absl::Duration kLastLines = absl::Seconds(1);

// Audited requests are longer than log lines.
constexpr size_t kMaxSecretLineBytes = 1 << 20;
constexpr size_t kMaxSecretBytes = 8 << 20;

std::string DetailOf(const absl::Status& status) {
  const auto error = GetError(status);
  return error.has_value() ? error->detail : std::string(status.message());
}

// Never destroyed: threads may log until the process ends.
LogWriter* StartStandardError() {
  LogWriterOptions options;
  options.loss_line = [](uint64_t lost) { return absl::StrCat("log: ", lost, " lines lost"); };
  auto writer =
      LogWriter::Start(OwnedFd(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)), std::move(options));
  if (!writer.ok()) {
    std::fprintf(stderr, "no log: %s\n", DetailOf(writer.status()).c_str());
    std::exit(EXIT_FAILURE);
  }
  std::atexit(FlushLog);
  return writer->release();
}

LogWriter& StandardError() {
  static LogWriter* const writer = StartStandardError();
  return *writer;
}

struct Files {
  absl::Mutex mutex;
  std::vector<WrittenFile*> all ABSL_GUARDED_BY(mutex);
};

Files& KnownFiles() {
  static Files* const files = new Files;
  return *files;
}

std::atomic<uint64_t>& Warnings() {
  static std::atomic<uint64_t> warnings = 0;
  return warnings;
}

}  // namespace

void LogLine(absl::string_view text) { StandardError().Write(text); }

void LogWarning(absl::string_view text) {
  LogLine(absl::StrCat("warning: ", text));
  Warnings().fetch_add(1);
}

uint64_t WarningsLogged() { return Warnings().load(); }

void FlushLog() { StandardError().Flush(kLastLines); }

WrittenFile::WrittenFile(std::string name) : name_(std::move(name)) {
  Files& files = KnownFiles();
  absl::MutexLock lock(&files.mutex);
  files.all.push_back(this);
}

WrittenFile::~WrittenFile() {
  Files& files = KnownFiles();
  absl::MutexLock lock(&files.mutex);
  files.all.erase(std::remove(files.all.begin(), files.all.end(), this), files.all.end());
}

absl::StatusOr<std::unique_ptr<SecretLog>> SecretLog::Open(
    std::string name, const std::string& path,
    absl::AnyInvocable<std::string(uint64_t) const> loss_line) {
  absl::StatusOr<OwnedFd> fd = OpenPrivateFile(path);
  if (!fd.ok()) return fd.status();
  LogWriterOptions options;
  options.max_line_bytes = kMaxSecretLineBytes;
  options.max_queued_bytes = kMaxSecretBytes;
  options.loss_line = std::move(loss_line);
  auto writer = LogWriter::Start(*std::move(fd), std::move(options));
  if (!writer.ok()) return writer.status();
  return std::unique_ptr<SecretLog>(new SecretLog(std::move(name), path, *std::move(writer)));
}

SecretLog::SecretLog(std::string name, std::string path, std::unique_ptr<LogWriter> writer)
    : WrittenFile(std::move(name)), path_(std::move(path)), writer_(std::move(writer)) {}

absl::Status SecretLog::Reopen() {
  absl::StatusOr<OwnedFd> fd = OpenPrivateFile(path_);
  if (fd.ok()) writer_->Replace(*std::move(fd));
  return fd.status();
}

void ReopenFiles() {
  Files& files = KnownFiles();
  absl::MutexLock lock(&files.mutex);
  for (WrittenFile* file : files.all) {
    const absl::Status reopened = file->Reopen();
    if (reopened.ok()) continue;
    LogLine(
        absl::StrCat(file->name(), " log: goes on in the file from before: ", DetailOf(reopened)));
  }
}

std::map<std::string, uint64_t> LostRecords() {
  std::map<std::string, uint64_t> lost = {{"stderr", StandardError().lines_lost()}};
  Files& files = KnownFiles();
  absl::MutexLock lock(&files.mutex);
  for (const WrittenFile* file : files.all) lost[file->name()] += file->lost();
  return lost;
}

}  // namespace trestle::examples
