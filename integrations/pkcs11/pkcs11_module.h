// Pkcs11Modules: the loaded PKCS #11 modules in which a token is searched.
#ifndef TRESTLE_INTEGRATIONS_PKCS11_PKCS11_MODULE_H_
#define TRESTLE_INTEGRATIONS_PKCS11_PKCS11_MODULE_H_

#include <p11-kit/pkcs11.h>

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "integrations/pkcs11/pkcs11_uri.h"

namespace trestle {

/// Modules that p11-kit loads and initializes once for all users in this process. They are
/// released, and finalized after the last user, when the object ends.
class Pkcs11Modules {
 public:
  /// Loads the module of `uri`, or those of p11-kit's configuration. Fails with
  /// ErrorCode::kConfiguration.
  static absl::StatusOr<std::unique_ptr<Pkcs11Modules>> Load(const Pkcs11Uri& uri);

  ~Pkcs11Modules();
  Pkcs11Modules(const Pkcs11Modules&) = delete;
  Pkcs11Modules& operator=(const Pkcs11Modules&) = delete;

  const std::vector<CK_FUNCTION_LIST*>& all() const { return all_; }

 private:
  Pkcs11Modules() = default;

  std::vector<CK_FUNCTION_LIST*> all_;
  CK_FUNCTION_LIST** configured_ = nullptr;  // Null for the module of a path.
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_PKCS11_PKCS11_MODULE_H_
