#include "bench/soak/site.h"

#include <signal.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/log/check.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "bench/peers/tls_socket.h"
#include "trestle/testing/test_pki.h"

namespace trestle::bench {
namespace {

constexpr const char* kFolders[] = {"one", "two"};

// The allocator returns freed memory at once, so that only leaks remain.
constexpr const char* kAllocator[] = {"/usr/bin/env", "MALLOC_ARENA_MAX=1",
                                      "MALLOC_TRIM_THRESHOLD_=0", "MALLOC_MMAP_THRESHOLD_=32768"};

}  // namespace

SoakSite::SoakSite(const std::string& program, const std::string& examples)
    : program_(program), examples_(examples), folder_(MakeFolder()) {
  WriteCertificates();
  UseCertificates(kFolders[0]);
  for (int i = 0; i < 2; ++i) {
    ports_[i] = {FreePort(), FreePort()};
    backends_[i] = StartBackend(ports_[i]);
  }
  std::ofstream(PathOf("routes")) << kServerName << " 127.0.0.1:" << ports_[0].tls
                                  << "+127.0.0.1:" << ports_[1].tls << "\n";
  for (const Mode mode : {Mode::kOffload, Mode::kPassthrough, Mode::kBridge}) {
    SoakProxy proxy{mode, FreePort(), nullptr};
    proxy.process = std::make_unique<Process>(CommandFor(mode, proxy.port), LogOf(mode), false);
    CHECK(proxy.process->AwaitPort(proxy.port)) << "see " << LogOf(mode);
    proxies_.push_back(std::move(proxy));
  }
}

SoakSite::~SoakSite() {
  proxies_.clear();
  for (auto& backend : backends_) backend.reset();
  if (!keep_files_) std::filesystem::remove_all(folder_);
}

void SoakSite::WriteCertificates() const {
  const testing::TestPki pki(absl::Now());
  testing::LeafSpec leaf;
  leaf.dns_names = {kServerName};
  for (const char* name : kFolders) {
    std::filesystem::create_directory(PathOf(name));
    const testing::PemPair pem = pki.Issue(leaf);
    std::ofstream(PathOf(name) + "/front.pem") << pem.chain;
    std::ofstream(PathOf(name) + "/front.key") << pem.key;
  }
  std::ofstream(PathOf("ca.pem")) << pki.ca_pem();
}

// Both files change at once.
void SoakSite::UseCertificates(const std::string& folder) const {
  std::filesystem::create_directory_symlink(folder, PathOf("next"));
  std::filesystem::rename(PathOf("next"), PathOf("current"));
}

void SoakSite::Reload() {
  UseCertificates(kFolders[++reloads_ % 2]);
  for (const SoakProxy& proxy : proxies_) proxy.process->Signal(SIGHUP);
}

int SoakSite::ReportedReloads() const {
  int reloads = 0;
  for (const SoakProxy& proxy : proxies_) {
    std::ifstream log(LogOf(proxy.mode));
    std::string line;
    while (std::getline(log, line)) reloads += absl::StrContains(line, "reloaded");
  }
  return reloads;
}

void SoakSite::KillBackend() { backends_[1].reset(); }

void SoakSite::RestartBackend() { backends_[1] = StartBackend(ports_[1]); }

std::unique_ptr<Process> SoakSite::StartBackend(const BackendPorts& ports) const {
  auto backend = std::make_unique<Process>(
      std::vector<std::string>{program_, "--backend_folder=" + PathOf(kFolders[0]),
                               absl::StrCat("--clear_port=", ports.clear),
                               absl::StrCat("--tls_port=", ports.tls)},
      PathOf("backend.log"), false);
  CHECK(backend->AwaitPort(ports.tls)) << "see " << PathOf("backend.log");
  return backend;
}

std::vector<std::string> SoakSite::CommandFor(Mode mode, uint16_t port) const {
  std::vector<std::string> command(std::begin(kAllocator), std::end(kAllocator));
  const auto backends = [&](uint16_t BackendPorts::*leg) {
    return absl::StrCat("--backend=127.0.0.1:", ports_[0].*leg, "+127.0.0.1:", ports_[1].*leg);
  };
  const std::vector<std::string> front = {"--cert=" + PathOf("current/front.pem"),
                                          "--key=" + PathOf("current/front.key")};
  switch (mode) {
    case Mode::kOffload:
      command.push_back(examples_ + "/terminating_proxy");
      command.push_back(backends(&BackendPorts::clear));
      command.insert(command.end(), front.begin(), front.end());
      break;
    case Mode::kPassthrough:
      command.push_back(examples_ + "/passthrough_proxy");
      command.push_back("--routes_file=" + PathOf("routes"));
      break;
    case Mode::kBridge:
      command.push_back(examples_ + "/bridging_proxy");
      command.push_back(backends(&BackendPorts::tls));
      command.push_back("--backend_ca=" + PathOf("ca.pem"));
      command.push_back(absl::StrCat("--backend_name=", kServerName));
      command.insert(command.end(), front.begin(), front.end());
      break;
  }
  command.push_back(absl::StrCat("--listen=127.0.0.1:", port));
  command.push_back("--log_connections=none");
  return command;
}

}  // namespace trestle::bench
