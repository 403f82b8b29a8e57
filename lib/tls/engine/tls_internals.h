// TlsInternals: gives the tls layer access to private members of its public classes.
#ifndef TRESTLE_LIB_TLS_ENGINE_TLS_INTERNALS_H_
#define TRESTLE_LIB_TLS_ENGINE_TLS_INTERNALS_H_

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace trestle {

/// A friend of the public classes, so that their public parts name no type of BoringSSL or lib/.
/// Each function calls the private member function of that name. They are templates, so
/// that this header includes none of the classes: targets below some of them use it.
class TlsInternals {
 public:
  /// Returns the BoringSSL object of a Credential, ServerTlsConfig or ClientTlsConfig.
  /// The owner keeps its reference.
  template <typename Owner>
  static auto* Native(const Owner& owner) {
    return owner.native();
  }

  /// Credential: returns the object with the staple if that is valid at `now`.
  template <typename Owner>
  static auto* NativeAt(const Owner& credential, absl::Time now) {
    return credential.NativeAt(now);
  }

  /// Credential: returns whether `native` is one of its objects.
  template <typename Owner, typename Object>
  static bool Owns(const Owner& credential, const Object* native) {
    return credential.Owns(native);
  }

  /// ServerTlsConfig: returns its CompressionCache.
  template <typename Owner>
  static auto& Compressed(const Owner& config) {
    return config.compressed();
  }

  /// ClientAuthentication: returns the current ClientAuthRules, shared. EchKeys: the EchKeySet.
  template <typename Owner>
  static auto Current(const Owner& authentication) {
    return authentication.current();
  }

  /// ClientSessionCache: returns its SessionMemory. ServerSessionCache: its ServerSessionMemory.
  template <typename Owner>
  static auto& Memory(Owner& cache) {
    return cache.memory();
  }

  /// AcmeTokens: returns the credential that answers a challenge for `server_name`.
  template <typename Owner>
  static auto AnswerFor(Owner& tokens, absl::string_view server_name, absl::Time now) {
    return tokens.AnswerFor(server_name, now);
  }
};

}  // namespace trestle

#endif  // TRESTLE_LIB_TLS_ENGINE_TLS_INTERNALS_H_
