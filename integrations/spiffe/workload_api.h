// The messages of the SPIFFE Workload API (SPIFFE_Workload_API 5.2) that a server of TLS needs,
// as protocol buffers carry them.
#ifndef TRESTLE_INTEGRATIONS_SPIFFE_WORKLOAD_API_H_
#define TRESTLE_INTEGRATIONS_SPIFFE_WORKLOAD_API_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "trestle/base/bytes.h"

namespace trestle {

/// The path of the call that streams X.509-SVIDs, and the field that it must have (4.1).
inline constexpr char kFetchX509SvidPath[] = "/SpiffeWorkloadAPI/FetchX509SVID";
inline constexpr char kWorkloadField[] = "workload.spiffe.io";

/// An identity: X509SVID. All bytes are as the agent sent them, unchecked.
struct WorkloadSvid {
  std::string spiffe_id;
  std::string chain_der;   ///< Certificates in DER, one behind the other, the leaf first.
  std::string key_der;     ///< PKCS#8, not encrypted.
  std::string bundle_der;  ///< CAs of the ID's trust domain, one behind the other.
  std::string hint;        ///< An operator's name for it; may be empty.
};

/// What the agent says at one moment: X509SVIDResponse. Its revocation lists are not read.
struct WorkloadUpdate {
  static constexpr size_t kMaxSvids = 100;
  static constexpr size_t kMaxFederated = 1000;

  WorkloadUpdate() = default;
  WorkloadUpdate(WorkloadUpdate&&) = default;
  WorkloadUpdate& operator=(WorkloadUpdate&&) = default;
  /// Erases the private keys.
  ~WorkloadUpdate();

  std::vector<WorkloadSvid> svids;
  /// Trust domains and their CAs, in the form of `bundle_der`. Some agents write the domains as
  /// "spiffe://example.org".
  std::vector<std::pair<std::string, std::string>> federated_bundles;
};

/// Reads an X509SVIDResponse. Unknown fields are skipped. Fails with ErrorCode::kProtocol for bytes
/// that are no such message, and with kOverLimit for more entries than the limits.
absl::StatusOr<WorkloadUpdate> DecodeWorkloadUpdate(ByteView message);

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_SPIFFE_WORKLOAD_API_H_
