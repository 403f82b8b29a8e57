// Pkcs11Token: an open token with one private key, and the sessions in which it signs.
#ifndef TRESTLE_INTEGRATIONS_PKCS11_PKCS11_TOKEN_H_
#define TRESTLE_INTEGRATIONS_PKCS11_PKCS11_TOKEN_H_

#include <p11-kit/pkcs11.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "integrations/pkcs11/pkcs11_mechanism.h"
#include "integrations/pkcs11/pkcs11_module.h"
#include "integrations/pkcs11/pkcs11_uri.h"
#include "trestle/base/bytes.h"
#include "trestle/pki/signer.h"

namespace trestle {

/// Thread-safe. After a failure with kTransport it is of no use any more.
class Pkcs11Token {
 public:
  /// Opens the token of `uri`, logs in, and finds the key; errors as `Pkcs11Key::Open`.
  /// `refused_pin` is a PIN that the token has refused before; a refusal changes it.
  static absl::StatusOr<std::shared_ptr<Pkcs11Token>> Open(const Pkcs11Uri& uri,
                                                           std::string& refused_pin);

  /// Closes the sessions.
  ~Pkcs11Token();
  Pkcs11Token(const Pkcs11Token&) = delete;
  Pkcs11Token& operator=(const Pkcs11Token&) = delete;

  /// Signs in a session that no other thread uses. Errors as `Pkcs11Key::Sign`.
  absl::StatusOr<std::string> Sign(SignatureScheme scheme, ByteView input);

  bool is_rsa() const { return key_type_ == CKK_RSA; }

 private:
  explicit Pkcs11Token(const Pkcs11Uri& uri) : uri_(uri) {}

  absl::Status FindSlot();
  absl::Status LogIn(std::string& refused_pin);
  absl::Status FindKey();
  absl::Status ReadKey();
  absl::StatusOr<CK_SESSION_HANDLE> NewSession();
  absl::StatusOr<CK_SESSION_HANDLE> TakeSession();
  absl::StatusOr<std::string> SignIn(CK_SESSION_HANDLE session, Pkcs11Mechanism& mechanism);
  absl::Status LogInForOneSignature(CK_SESSION_HANDLE session);
  void ForgetPinUnlessNeeded();

  const Pkcs11Uri uri_;
  std::unique_ptr<Pkcs11Modules> modules_;
  CK_FUNCTION_LIST* functions_ = nullptr;  // Of the module that has the token.
  CK_SLOT_ID slot_ = 0;
  bool needs_login_ = false;
  CK_OBJECT_HANDLE key_ = 0;
  CK_KEY_TYPE key_type_ = 0;
  bool asks_each_time_ = false;  // CKA_ALWAYS_AUTHENTICATE.
  // Stays open: a token without a session forgets the login.
  CK_SESSION_HANDLE login_session_ = CK_INVALID_HANDLE;
  absl::Mutex mutex_;
  std::vector<CK_SESSION_HANDLE> idle_ ABSL_GUARDED_BY(mutex_);
  std::string pin_ ABSL_GUARDED_BY(mutex_);  // Empty unless each signature needs it.
  bool pin_is_refused_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace trestle

#endif  // TRESTLE_INTEGRATIONS_PKCS11_PKCS11_TOKEN_H_
