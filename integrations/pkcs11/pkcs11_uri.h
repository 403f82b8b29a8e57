// Pkcs11Uri: the URI of a private key in a token (RFC 7512), and the file with its PIN.
#ifndef TRESTLE_INTEGRATIONS_PKCS11_PKCS11_URI_H_
#define TRESTLE_INTEGRATIONS_PKCS11_PKCS11_URI_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

typedef struct p11_kit_uri P11KitUri;

namespace trestle {

/// Immutable and thread-safe.
class Pkcs11Uri {
 public:
  /// Parses "pkcs11:token=…;object=…;id=…?module-path=…&pin-source=…" with the attributes of RFC
  /// 7512 2.3. Without module-path, the modules of p11-kit's configuration are searched.
  ///
  /// Fails with ErrorCode::kConfiguration for text that is no such URI, for unknown attributes, and
  /// for a type other than private. Also fails for module-name, and for a pin-source or module-path
  /// that is no absolute path. Also fails for pin-value, which would show the PIN to every user of
  /// the machine.
  static absl::StatusOr<Pkcs11Uri> Parse(const std::string& text);

  /// Returns the URI without its queries, for logs and errors.
  const std::string& name() const { return name_; }

  /// Returns the path of the module; empty: those of p11-kit's configuration.
  const std::string& module_path() const { return module_path_; }

  /// Returns the path of the file with the PIN; empty for none.
  const std::string& pin_file() const { return pin_file_; }

  /// Reads the PIN: the first line of `pin_file`; empty without a file. Blocks. Fails as `ReadFile`
  /// does.
  absl::StatusOr<std::string> ReadPin() const;

  /// Returns the parsed URI of p11-kit, to match modules, slots, tokens and objects with.
  P11KitUri* native() const { return native_.get(); }

 private:
  Pkcs11Uri() = default;

  std::shared_ptr<P11KitUri> native_;
  std::string name_;
  std::string module_path_;
  std::string pin_file_;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_PKCS11_PKCS11_URI_H_
