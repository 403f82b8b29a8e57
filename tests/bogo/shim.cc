// The shim of BoGo, BoringSSL's suite of protocol tests: a TlsStream over a socket, as the runner's
// flags say. scripts/bogo runs it. Exits with 0, with 1 and the Error on stderr, or with 89 where
// Trestle can't do what a case asks for. The file TRESTLE_BOGO_REPORT gets the reason.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "tests/bogo/below.h"
#include "tests/bogo/error_line.h"
#include "tests/bogo/exchange.h"
#include "tests/bogo/flags.h"
#include "tests/bogo/tls_setup.h"
#include "trestle/base/error.h"
#include "trestle/linux/epoll_loop.h"

namespace trestle::bogo {
namespace {

constexpr int kUnimplemented = 89;

// The runner lets time pass between two connections.
class ShiftedClocks final : public SystemClocks {
 public:
  absl::Time Wall() const override { return SystemClocks::Wall() + shift_; }
  MonotonicTime Monotonic() const override { return SystemClocks::Monotonic() + shift_; }

  void Advance(absl::Duration by) { shift_ += by; }

 private:
  absl::Duration shift_;
};

// Tells scripts/bogo about a case. Runs share the file: each line is one write.
bool Report(const Flags& flags, absl::string_view kind, absl::string_view text) {
  const char* path = std::getenv("TRESTLE_BOGO_REPORT");
  if (path == nullptr) return true;
  absl::string_view name = absl::StripSuffix(flags.write_settings, "-");
  if (const size_t slash = name.rfind('/'); slash != name.npos) name.remove_prefix(slash + 1);
  const std::string line = absl::StrCat(name, "\t", kind, "\t", text, "\n");
  const int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  const bool written = write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  close(file);
  return written;
}

int RefuseCase(const Flags& flags, absl::string_view reason) {
  std::cerr << "not mapped: " << reason << "\n";
  return Report(flags, "unmapped", reason) ? kUnimplemented : EXIT_FAILURE;
}

int ReportFailure(int connection, const Error& error) {
  std::cerr << "connection " << connection << ", " << EnumName(error.phase) << "\n"
            << ErrorLine(error) << "\n";
  if (error.alert.has_value()) std::cerr << "alert " << AlertName(*error.alert) << "\n";
  return EXIT_FAILURE;
}

bool ConcernsVerification(const Flags& flags) {
  return flags.verify_peer || flags.verify_fail || flags.use_custom_verify_callback;
}

int RunCase(const CommandLine& line) {
  ShiftedClocks clocks;
  auto loop = EpollLoop::Create(clocks);
  if (!loop.ok()) return RefuseCase(line.initial, loop.status().message());
  Memory memory;
  const bool below = ConcernsBelow(line.initial) || ConcernsBelow(line.resume);
  if (below && !Report(line.initial, "below", "")) return EXIT_FAILURE;
  const bool asks_verifier =
      ConcernsVerification(line.initial) || ConcernsVerification(line.resume);
  for (int i = 0; i <= line.initial.resume_count; ++i) {
    const Flags& flags = i == 0 ? line.initial : line.resume;
    absl::StatusOr<Side> side = MakeSide(flags, asks_verifier, **loop, memory);
    if (!side.ok()) {
      return RefuseCase(line.initial, absl::StrCat("Trestle refuses the set-up: ",
                                                   GetError(side.status())->detail));
    }
    Exchange exchange(**loop, flags, *std::move(side));
    const absl::Status status = exchange.Run(/*is_resume=*/i > 0, memory);
    if (!status.ok()) {
      return ReportFailure(i + 1, *ToError(status));
    }
    clocks.Advance(absl::Seconds(flags.resumption_delay));
  }
  return EXIT_SUCCESS;
}

int Run(absl::Span<char* const> arguments) {
  const CommandLine line = ParseCommandLine(arguments);
  if (line.initial.is_handshaker_supported) {
    std::cout << "No\n";
    return EXIT_SUCCESS;
  }
  if (!line.unmapped.empty()) return RefuseCase(line.initial, line.unmapped);
  return RunCase(line);
}

}  // namespace
}  // namespace trestle::bogo

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  const int status = trestle::bogo::Run(absl::MakeConstSpan(argv + 1, argv + argc));
  // The runner takes what follows for the words of a sanitizer, and fails the case.
  std::cerr << "--- DONE ---\n";
  return status;
}
