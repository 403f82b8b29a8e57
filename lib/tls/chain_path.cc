#include "lib/tls/chain_path.h"

#include <openssl/err.h>

namespace trestle {
namespace {

// Nothing is held against the path: it is only looked for.
int Overlook(int /*ok*/, X509_STORE_CTX* /*verifier*/) { return 1; }

bool PushAll(const CertificateChain& certificates, STACK_OF(X509) * stack) {
  for (const bssl::UniquePtr<X509>& certificate : certificates) {
    if (!bssl::PushToStack(stack, bssl::UpRef(certificate))) return false;
  }
  return true;
}

bool IsSelfIssued(const X509* certificate) {
  return X509_NAME_cmp(X509_get_subject_name(certificate), X509_get_issuer_name(certificate)) == 0;
}

// `finder` looks into the store that it was made with.
bool IsInStore(X509_STORE_CTX* finder, const X509* certificate) {
  bssl::UniquePtr<STACK_OF(X509)> candidates(
      X509_STORE_CTX_get1_certs(finder, X509_get_subject_name(certificate)));
  if (candidates == nullptr) return false;
  for (const X509* candidate : candidates.get()) {
    if (X509_cmp(candidate, certificate) == 0) return true;
  }
  return false;
}

}  // namespace

ChainPath FindChainPath(const CertificateChain& chain, const CertificateChain& known,
                        X509_STORE* store, absl::Time now) {
  ChainPath path;
  bssl::UniquePtr<STACK_OF(X509)> stack(sk_X509_new_null());
  bssl::UniquePtr<X509_STORE_CTX> finder(X509_STORE_CTX_new());
  if (chain.empty() || stack == nullptr || finder == nullptr || !PushAll(chain, stack.get()) ||
      !PushAll(known, stack.get()) ||
      !X509_STORE_CTX_init(finder.get(), store, chain.front().get(), stack.get()) ||
      !X509_STORE_CTX_set_default(finder.get(), "ssl_server")) {
    ERR_clear_error();
    return path;
  }
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(finder.get());
  X509_VERIFY_PARAM_set_depth(param, kMaxIntermediates);
  X509_VERIFY_PARAM_set_time_posix(param, absl::ToUnixSeconds(now));
  X509_STORE_CTX_set_verify_cb(finder.get(), Overlook);
  X509_verify_cert(finder.get());
  const STACK_OF(X509)* found = X509_STORE_CTX_get0_chain(finder.get());
  for (size_t i = 0; i < sk_X509_num(found); ++i) {
    path.certificates.push_back(bssl::UpRef(sk_X509_value(found, i)));
  }
  if (path.certificates.empty()) path.certificates.push_back(bssl::UpRef(chain.front()));
  const X509* last = path.certificates.back().get();
  path.trusted = IsSelfIssued(last) && IsInStore(finder.get(), last);
  ERR_clear_error();
  return path;
}

}  // namespace trestle
