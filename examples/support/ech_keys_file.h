// Keys for encrypted ClientHellos (RFC 9849) from --ech_keys_file, for routers that open hellos
// (split mode), and their log lines for operators.
#ifndef TRESTLE_EXAMPLES_SUPPORT_ECH_KEYS_FILE_H_
#define TRESTLE_EXAMPLES_SUPPORT_ECH_KEYS_FILE_H_

#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trestle/tls/ech_key_opener.h"
#include "trestle/tls/ech_keys.h"
#include "trestle/tls/tls_reload.h"

namespace trestle::examples {

/// Returns the value of --ech_keys_file.
std::string EchKeysPath();

/// Creates the opener of routers, with the budget of --max_ech_opens_per_second and
/// --max_ech_opens_per_second_per_client.
absl::StatusOr<std::shared_ptr<EchKeyOpener>> EchOpenerFromFlags(
    std::shared_ptr<const EchKeys> keys);

/// Logs the configs to publish in DNS, when they have changed since the last call.
class EchConfigsLog {
 public:
  void Log(const EchKeys& keys);

 private:
  std::string logged_;
};

/// Logs a warning for each public name that has no route.
void WarnOfPublicNames(const EchKeys& keys,
                       absl::FunctionRef<bool(const std::string& name)> has_route);

/// Returns whether a config has `name` as its public name.
bool IsPublicName(const EchKeys& keys, absl::string_view name);

/// Returns the config ids for a log line: "ECH config ids 1, 2".
std::string DescribeEchKeys(const EchKeys& keys);

/// The keys of a router that does not terminate TLS. Call it on the main thread.
class EchKeysFile {
 public:
  /// Loads the file; null without --ech_keys_file.
  static absl::StatusOr<std::unique_ptr<EchKeysFile>> FromFlag();

  const std::shared_ptr<EchKeys>& keys() const { return keys_; }

  /// Reads and checks the file again. Changes nothing before `Commit`.
  absl::Status Prepare();

  /// Uses the result of the last `Prepare`, which must have succeeded, for new hellos.
  void Commit();

 private:
  explicit EchKeysFile(std::shared_ptr<EchKeys> keys);

  const std::shared_ptr<EchKeys> keys_;
  TlsReload reload_;
  std::unique_ptr<PreparedReload> prepared_;
  EchConfigsLog log_;
};

}  // namespace trestle::examples

#endif  // TRESTLE_EXAMPLES_SUPPORT_ECH_KEYS_FILE_H_
