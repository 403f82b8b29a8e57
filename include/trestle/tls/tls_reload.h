// TlsReload: replaces all parts of a proxy's TLS while it runs, as one transaction. Either all of
// them are valid and are used, or nothing changes.
#ifndef TRESTLE_TLS_TLS_RELOAD_H_
#define TRESTLE_TLS_TLS_RELOAD_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "trestle/pki/finding.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/client_authentication.h"
#include "trestle/tls/client_tls_config.h"
#include "trestle/tls/ech_keys.h"
#include "trestle/tls/ticket_key_ring.h"

namespace trestle {

/// The parts that a reload replaces. Null for those that a proxy doesn't have.
struct ReloadTargets {
  std::shared_ptr<CertificateStore> certificates;
  std::shared_ptr<ClientAuthentication> clients;
  std::shared_ptr<TicketKeyRing> ticket_keys;  ///< Not one with keys of its own or a source.
  std::shared_ptr<EchKeys> ech_keys;
  /// Hands a config to all bridges, by `TlsBridge::ReplaceBackTls` on the thread of each.
  absl::AnyInvocable<void(std::shared_ptr<const ClientTlsConfig>)> use_back_tls;
};

/// A text and where it comes from, for errors: the path of a file.
struct ReloadText {
  std::string name;
  std::string text;
};

/// What is to be used from now on. A part without a source stays as it is; a source without its
/// part is an error.
struct ReloadSources {
  /// With their keys and staples; empty: no source.
  std::vector<std::shared_ptr<const Credential>> certificates;
  std::optional<ClientAuthOptions> clients;
  std::optional<ReloadText> ticket_keys;  ///< As `ParseTicketKeys` reads it.
  std::optional<ReloadText> ech_keys;     ///< As `EchKeys::FromPem` reads it.
  /// CAs, revocation lists, pins and the own certificate towards backends.
  std::optional<ClientTlsOptions> back_tls;
  std::string back_tls_name;  ///< Where that comes from, for errors.
};

struct TlsReloadOptions {
  /// Refuses certificates that lack a name which the present ones have. By default that is the
  /// finding "names_lost".
  bool refuse_lost_names = false;
};

/// All parts of a reload, checked on their own and against each other. Movable.
class PreparedReload {
 public:
  PreparedReload(PreparedReload&&) noexcept;
  PreparedReload& operator=(PreparedReload&&) noexcept;
  ~PreparedReload();

  /// Returns what an operator should know before the reload is live. The code "names_lost" means
  /// that clients of some names will get a certificate without their name, or none.
  const std::vector<Finding>& findings() const;

 private:
  friend class TlsReload;
  struct Parts;

  explicit PreparedReload(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

/// All calls but `generation` come from one thread, which need not be that of a loop.
class TlsReload {
 public:
  /// Makes a reload of `targets`.
  explicit TlsReload(ReloadTargets targets, TlsReloadOptions options = {});
  TlsReload(const TlsReload&) = delete;
  TlsReload& operator=(const TlsReload&) = delete;

  /// Checks everything that `Commit` would do, and changes nothing. Fails with
  /// ErrorCode::kConfiguration and a sentence for each part that can't be used. Each has the name
  /// of its source, and the line if it is known.
  absl::StatusOr<PreparedReload> Prepare(ReloadSources sources, absl::Time now);

  /// Uses all parts for handshakes from now on; open connections go on. Can't fail. To be called
  /// before the next `Prepare`. Returns the new generation.
  uint64_t Commit(PreparedReload prepared);

  /// 1 before the first `Commit`, one more after each. Thread-safe.
  uint64_t generation() const { return generation_; }

 private:
  ReloadTargets targets_;
  const TlsReloadOptions options_;
  std::atomic<uint64_t> generation_ = 1;
};

}  // namespace trestle

#endif  // TRESTLE_TLS_TLS_RELOAD_H_
