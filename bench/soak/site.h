// The programs of a soak: Trestle's three example proxies, two backends for them, and their files.
#ifndef TRESTLE_BENCH_SOAK_SITE_H_
#define TRESTLE_BENCH_SOAK_SITE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/peers/peer.h"
#include "bench/peers/process.h"

namespace trestle::bench {

/// One proxy in a soak.
struct SoakProxy {
  Mode mode;
  uint16_t port = 0;
  std::unique_ptr<Process> process;
};

class SoakSite final {
 public:
  /// Issues certificates and starts all programs. `program` is this program, which serves a
  /// backend with `--backend_folder`; `examples` is the folder of the proxies. Ends the program if
  /// one doesn't start.
  SoakSite(const std::string& program, const std::string& examples);
  ~SoakSite();
  SoakSite(const SoakSite&) = delete;
  SoakSite& operator=(const SoakSite&) = delete;

  const std::vector<SoakProxy>& proxies() const { return proxies_; }

  /// Replaces the certificates by others, and has all proxies load them.
  void Reload();

  /// Leaves the folder with the logs of all programs, and returns it.
  const std::string& KeepFiles() {
    keep_files_ = true;
    return folder_;
  }

  /// Returns how often the proxies reported a reload with other certificates.
  int ReportedReloads() const;

  /// Ends the second backend and waits for its end, or starts it again on the same ports.
  void KillBackend();
  void RestartBackend();

 private:
  struct BackendPorts {
    uint16_t clear = 0;
    uint16_t tls = 0;
  };

  std::string PathOf(const std::string& name) const { return folder_ + "/" + name; }
  std::string LogOf(Mode mode) const { return PathOf(std::string(ModeName(mode)) + ".log"); }
  void WriteCertificates() const;
  void UseCertificates(const std::string& folder) const;
  std::unique_ptr<Process> StartBackend(const BackendPorts& ports) const;
  std::vector<std::string> CommandFor(Mode mode, uint16_t port) const;

  const std::string program_;
  const std::string examples_;
  const std::string folder_;
  BackendPorts ports_[2];
  std::unique_ptr<Process> backends_[2];
  std::vector<SoakProxy> proxies_;
  int reloads_ = 0;
  bool keep_files_ = false;
};

}  // namespace trestle::bench

#endif  // TRESTLE_BENCH_SOAK_SITE_H_
