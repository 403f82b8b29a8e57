// Demonstrates and verifies the three ways to handle TLS in one process. It creates certificates,
// starts backends, proxies and a client, and inspects each leg.

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "examples/quickstart/demonstration.h"
#include "examples/quickstart/findings.h"
#include "examples/support/program.h"
#include "trestle/linux/epoll_loop.h"
#include "trestle/linux/signal_watcher.h"

ABSL_FLAG(bool, serve, false, "keeps the proxies and backends running, for manual tests");

namespace trestle::examples {
namespace {

constexpr absl::Duration kTimeLimit = absl::Seconds(30);
constexpr int kSignals[] = {SIGTERM, SIGINT};

// A file with the CA certificate, deleted with the object.
class CaFile {
 public:
  explicit CaFile(const std::string& pem) {
    const char* const folder = getenv("TMPDIR");
    std::string name = absl::StrCat(folder == nullptr ? "/tmp" : folder, "/trestle-ca-XXXXXX");
    const int fd = mkstemp(name.data());
    if (fd < 0) return;
    close(fd);
    path_ = name;
    std::ofstream(path_) << pem;
  }
  ~CaFile() {
    if (!path_.empty()) unlink(path_.c_str());
  }

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Prints the results; returns true if all are as expected.
bool Print(const Demonstration& demonstration) {
  const std::vector<Scenario>& scenarios = demonstration.scenarios();
  absl::PrintF("\nThree ways to treat TLS\n\n%s", ModesTable(scenarios));
  absl::PrintF("\nPassthrough chooses the backend by the name that the client asks for\n\n%s\n",
               NamesTable(scenarios));
  absl::PrintF("An HTTP gateway behind the client's TLS routes each request by its path\n\n%s\n",
               PathsTable(demonstration.paths()));
  size_t failures = 0;
  const auto print_failures = [&](const auto& tried) {
    for (const std::string& failure : tried.failures) {
      absl::PrintF("NOT AS EXPECTED: %s\n", failure);
      ++failures;
    }
  };
  for (const Scenario& scenario : scenarios) print_failures(scenario);
  for (const PathRequest& request : demonstration.paths().requests()) print_failures(request);
  if (failures == 0) absl::PrintF("All of the above was looked at and is as it should be.\n");
  return failures == 0;
}

// Runs until a signal; returns false if it could not start.
bool Serve(EpollLoop& loop, const Demonstration& demonstration) {
  const absl::StatusOr<std::unique_ptr<SignalWatcher>> signals =
      SignalWatcher::Create(loop, kSignals, [&loop](int) { loop.Stop(); });
  const CaFile ca(demonstration.ca_pem());
  if (!signals.ok() || ca.path().empty()) {
    absl::FPrintF(stderr, "quickstart: cannot write the CA to a temporary file\n");
    return false;
  }
  absl::PrintF("\nTry each leg by hand, in another terminal:\n\n%s\nServing until Ctrl-C.\n",
               LinesToTry(demonstration, ca.path()));
  std::fflush(stdout);
  loop.Run();
  return true;
}

int Main() {
  const absl::StatusOr<std::unique_ptr<EpollLoop>> loop = EpollLoop::Create();
  if (!loop.ok()) {
    absl::FPrintF(stderr, "quickstart: %s\n", loop.status().message());
    return EXIT_FAILURE;
  }
  const absl::StatusOr<std::unique_ptr<Demonstration>> demonstration = Demonstration::Start(**loop);
  if (!demonstration.ok()) {
    absl::FPrintF(stderr, "quickstart: %s\n", demonstration.status().message());
    return EXIT_FAILURE;
  }

  bool finished = false;
  (*demonstration)->Run([&] {
    finished = true;
    (*loop)->Stop();
  });
  Timer limit = (*loop)->RunAfter(kTimeLimit, [&] { (*loop)->Stop(); });
  (*loop)->Run();
  limit.reset();
  if (!finished) {
    absl::FPrintF(stderr, "quickstart: not finished within %s\n", absl::FormatDuration(kTimeLimit));
    return EXIT_FAILURE;
  }

  bool good = Print(**demonstration);
  if (absl::GetFlag(FLAGS_serve)) {
    good &= Serve(**loop, **demonstration);
  } else {
    absl::PrintF(
        "\nTo try each leg by hand, keep it running with --serve; it then prints lines\n"
        "like these, with a CA file that is there:\n\n%s",
        LinesToTry(**demonstration, "ca.pem"));
  }
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace
}  // namespace trestle::examples

int main(int argc, char** argv) {
  trestle::examples::ParseCommandLine(
      argc, argv,
      "Shows the three ways to treat TLS, side by side and checked.\n\n  quickstart [--serve]");
  signal(SIGPIPE, SIG_IGN);
  if (!trestle::BlockSignals(trestle::examples::kSignals).ok()) return EXIT_FAILURE;
  return trestle::examples::Main();
}
