// SoftToken: a token of SoftHSM in a test's own folder, and a module that lets it fail.
#ifndef TRESTLE_TESTS_INTEGRATIONS_PKCS11_SOFT_TOKEN_H_
#define TRESTLE_TESTS_INTEGRATIONS_PKCS11_SOFT_TOKEN_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace trestle::testing {

/// The module of SoftHSM.
inline constexpr char kSoftHsm[] = "/usr/lib/softhsm/libsofthsm2.so";

/// One at a time: it sets SOFTHSM2_CONF and TRESTLE_TEST_TOKEN_FAULT for this process and its
/// children.
class SoftToken {
 public:
  /// Makes an empty token "edge" with the PIN 1234 below `folder`.
  explicit SoftToken(const std::string& folder);

  /// Makes another token, with the same PIN.
  void AddToken(const std::string& label);

  /// Puts the private key of a PEM text (PKCS#8, RSA or EC) into a token, by softhsm2-util.
  void Import(const std::string& label, const std::string& key_pem,
              const std::string& token = "edge", const std::string& id = "01");

  /// Puts an Ed25519 key into the token, by PKCS #11 itself: softhsm2-util can't.
  void ImportEd25519(const std::string& label, const std::string& key_pem);

  /// Returns the URI of a key by SoftHSM's own module, with `more` before the queries.
  std::string Uri(const std::string& label, const std::string& more = "") const;

  /// Returns the URI of a key by the module that can fail.
  std::string FaultyUri(const std::string& label) const;

  /// Lets the faulty module fail: a word of faulty_module.cc. Empty: it works.
  void SetFault(absl::string_view word) const;

  /// Writes another PIN into the file of the URIs.
  void WritePin(absl::string_view pin) const;

  const std::string& pin_file() const { return pin_file_; }

 private:
  std::string PathOf(const std::string& name) const { return folder_ + "/" + name; }
  static void Run(const std::vector<std::string>& argv);

  const std::string folder_;
  const std::string pin_file_;
};

/// Returns the path of the module that can fail.
std::string FaultyModule();

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_INTEGRATIONS_PKCS11_SOFT_TOKEN_H_
