// EchOpener: opens encrypted ClientHellos (RFC 9849) for a router that has the ECH key but no
// certificate: split mode. An interface, so that a router links no cryptography unless it opens
// hellos; EchKeyOpener (tls/ech_key_opener.h) implements it.
#ifndef TRESTLE_WIRE_ECH_OPENER_H_
#define TRESTLE_WIRE_ECH_OPENER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "trestle/base/endpoint.h"
#include "trestle/base/monotonic_time.h"
#include "trestle/wire/client_hello.h"

namespace trestle {

/// What became of the encrypted part of a hello. For the three in the middle, the outer hello
/// counts: RFC 9849 7.1 demands it, because a client's GREASE looks the same.
enum class EchVerdict : uint8_t {
  kNotOffered,    ///< The hello has no encrypted part.
  kNoKey,         ///< No key has this config id, or its config lacks the cipher suite.
  kNotDecrypted,  ///< The key with this config id does not decrypt it.
  kOverBudget,    ///< Not tried: more hellos were opened than the budget allows.
  kOpened,        ///< The inner hello counts.
  kMalformed,     ///< The client violates RFC 9849; see `EchFault`.
};

/// Returns a verdict's name in snake_case: "not_decrypted".
absl::string_view EnumName(EchVerdict verdict);

/// The ways to violate RFC 9849. The sections are those of the RFC.
enum class EchFault : uint8_t {
  kInnerInClear,       ///< The form for backends came from the network (7).
  kUnreadable,         ///< The decrypted bytes are no ClientHello (5.1).
  kPadding,            ///< The padding is not all zeros (5.1).
  kSessionId,          ///< The inner hello has a session id of its own (5.1).
  kReferences,         ///< Two lists of references to outer extensions, or a damaged one (5.1).
  kReferenceMissing,   ///< The outer hello lacks an extension that the list refers to (5.1).
  kReferenceRepeated,  ///< The list refers to an extension twice (5.1).
  kReferenceOrder,     ///< The list has another order than the outer hello (5.1).
  kReferenceToEch,     ///< The list refers to encrypted_client_hello (5.1).
  kReferenceToList,    ///< The list refers to ech_outer_extensions (5.1).
  kNoInnerMarker,      ///< The inner hello is not marked as inner (7.1).
  kOldVersion,         ///< The inner hello offers TLS 1.2 or older (7.1).
  kMalformedInner,     ///< The inner hello is one that `ParseClientHello` refuses.
  kInnerTooLarge,      ///< The inner hello is over `HelloLimits::hello_bytes`.
  kSecondWithout,      ///< The second hello is not encrypted (7.1.1).
  kSecondParameters,   ///< The second hello has another config id or cipher suite (7.1.1).
  kSecondKey,          ///< The second hello has an encapsulated key (7.1.1).
  kSecondUndecrypted,  ///< The second hello can't be decrypted (7.1.1).
  kSecondName,         ///< The second inner hello asks for another name.
  kSecondAlpn,         ///< The second inner hello offers other protocols.
};

/// Returns a fault's name in snake_case: "reference_missing".
absl::string_view EnumName(EchFault fault);

/// Returns the TLS alert for a fault: the RFC's, or where it names none, decode_error for bytes
/// that can't be read and illegal_parameter for others.
uint8_t EchFaultAlert(EchFault fault);

/// Returns the error for a fault: of the front leg, in the phase of the hello, with
/// ErrorCode::kMalformedHello and the alert. `reason` may explain it further; it must not contain
/// the hidden name.
absl::Status EchFaultError(EchFault fault, absl::string_view reason = "");

/// An inner hello, as the backend gets it. `hello` has views into `message`.
struct InnerHello {
  InnerHello() = default;
  InnerHello(const InnerHello&) = delete;
  InnerHello& operator=(const InnerHello&) = delete;

  std::string message;  ///< The handshake message, with its 4-byte header.
  ClientHello hello;
};

class EchContext;

/// The result of opening a hello.
struct EchOpening {
  EchVerdict verdict = EchVerdict::kNotOffered;
  uint8_t config_id = 0;                    ///< As the client sent it, unless kNotOffered.
  std::unique_ptr<const InnerHello> inner;  ///< Set with kOpened only.
  std::unique_ptr<EchContext> context;      ///< Set with kOpened only: opens a second hello.
  EchFault fault = EchFault::kUnreadable;   ///< Valid with kMalformed only.
  absl::Status error;                       ///< With kMalformed: `EchFaultError`.
};

/// Opens the second hello of a connection whose first hello was opened. Not thread-safe.
class EchContext {
 public:
  virtual ~EchContext() = default;

  /// Opens the hello that answers a HelloRetryRequest (RFC 9849 7.1.1). `outer` is as the client
  /// sent it. The verdict is kOpened, without a new context, or kMalformed. Call it once.
  virtual EchOpening OpenSecond(const ClientHello& outer) = 0;
};

/// Thread-safe: routers on several loops share one.
class EchOpener {
 public:
  virtual ~EchOpener() = default;

  /// Opens the first hello of a connection. `outer` was read from the network. `client` and `now`
  /// (monotonic, of the loops' clock) are for the budget: opening costs time, and anyone can send
  /// hellos that look encrypted.
  virtual EchOpening Open(const ClientHello& outer, const Endpoint& client, MonotonicTime now) = 0;
};

}  // namespace trestle

#endif  // TRESTLE_WIRE_ECH_OPENER_H_
