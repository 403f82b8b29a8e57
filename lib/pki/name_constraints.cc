#include "lib/pki/name_constraints.h"

#include <openssl/asn1.h>
#include <openssl/nid.h>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "trestle/base/bytes.h"

namespace trestle {
namespace {

// The most comparisons for a pair of certificates; BoringSSL has the same limit for other names.
constexpr size_t kMaxComparisons = size_t{1} << 20;

using Subtrees = std::vector<bssl::UniquePtr<GENERAL_SUBTREE>>;

ByteView Contents(const ASN1_STRING* string) {
  return ByteView(ASN1_STRING_get0_data(string), static_cast<size_t>(ASN1_STRING_length(string)));
}

// Extracts the address ranges of `subtrees`, which may be null.
Subtrees TakeAddresses(STACK_OF(GENERAL_SUBTREE) * subtrees) {
  Subtrees taken;
  for (size_t i = sk_GENERAL_SUBTREE_num(subtrees); i-- > 0;) {
    if (sk_GENERAL_SUBTREE_value(subtrees, i)->base->type != GEN_IPADD) continue;
    taken.emplace_back(sk_GENERAL_SUBTREE_delete(subtrees, i));
  }
  return taken;
}

// An address and its mask of equal length, with leading set bits (RFC 5280 4.2.1.10).
bool IsRange(const GENERAL_SUBTREE& subtree) {
  if (subtree.minimum != nullptr || subtree.maximum != nullptr) return false;
  const ByteView bytes = Contents(subtree.base->d.iPAddress);
  if (bytes.size() != 8 && bytes.size() != 32) return false;
  bool ended = false;
  for (const uint8_t byte : bytes.subspan(bytes.size() / 2)) {
    for (int bit = 7; bit >= 0; --bit) {
      const bool set = (byte >> bit & 1) != 0;
      if (set && ended) return false;
      ended = !set;
    }
  }
  return true;
}

bool IsWithin(ByteView address, const GENERAL_SUBTREE& range) {
  const ByteView bytes = Contents(range.base->d.iPAddress);
  if (bytes.size() != 2 * address.size()) return false;
  for (size_t i = 0; i < address.size(); ++i) {
    if (((address[i] ^ bytes[i]) & bytes[address.size() + i]) != 0) return false;
  }
  return true;
}

bool IsWithinAny(ByteView address, const Subtrees& ranges) {
  for (const bssl::UniquePtr<GENERAL_SUBTREE>& range : ranges) {
    if (IsWithin(address, *range)) return true;
  }
  return false;
}

// Checks the addresses among `names`, which may be null.
int CheckAddresses(const GENERAL_NAMES* names, const Subtrees& permitted,
                   const Subtrees& excluded) {
  const size_t ranges = permitted.size() + excluded.size();
  if (ranges > 0 && sk_GENERAL_NAME_num(names) > kMaxComparisons / ranges) {
    return X509_V_ERR_UNSPECIFIED;
  }
  for (const Subtrees* subtrees : {&permitted, &excluded}) {
    for (const bssl::UniquePtr<GENERAL_SUBTREE>& range : *subtrees) {
      if (!IsRange(*range)) return X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX;
    }
  }
  for (size_t i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_IPADD) continue;
    const ByteView address = Contents(name->d.iPAddress);
    if (address.size() != 4 && address.size() != 16) return X509_V_ERR_UNSUPPORTED_NAME_SYNTAX;
    if (IsWithinAny(address, excluded)) return X509_V_ERR_EXCLUDED_VIOLATION;
    if (!permitted.empty() && !IsWithinAny(address, permitted)) {
      return X509_V_ERR_PERMITTED_VIOLATION;
    }
  }
  return X509_V_OK;
}

int CheckNames(const X509* subject, const X509* authority) {
  bssl::UniquePtr<NAME_CONSTRAINTS> constraints(static_cast<NAME_CONSTRAINTS*>(
      X509_get_ext_d2i(authority, NID_name_constraints, nullptr, nullptr)));
  if (constraints == nullptr) return X509_V_OK;
  const Subtrees permitted = TakeAddresses(constraints->permittedSubtrees);
  const Subtrees excluded = TakeAddresses(constraints->excludedSubtrees);
  const int others = NAME_CONSTRAINTS_check(subject, constraints.get());
  if (others != X509_V_OK) return others;
  const bssl::UniquePtr<GENERAL_NAMES> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(subject, NID_subject_alt_name, nullptr, nullptr)));
  return CheckAddresses(names.get(), permitted, excluded);
}

bool IsSelfIssued(const X509* certificate) {
  return X509_NAME_cmp(X509_get_subject_name(certificate), X509_get_issuer_name(certificate)) == 0;
}

}  // namespace

std::optional<NameConstraintViolation> FindNameConstraintViolation(const STACK_OF(X509) * path) {
  for (size_t i = 0; i < sk_X509_num(path); ++i) {
    const X509* const subject = sk_X509_value(path, i);
    if (i > 0 && IsSelfIssued(subject)) continue;
    for (size_t j = i + 1; j < sk_X509_num(path); ++j) {
      const int verify_error = CheckNames(subject, sk_X509_value(path, j));
      if (verify_error != X509_V_OK) return NameConstraintViolation{verify_error, subject};
    }
  }
  return std::nullopt;
}

}  // namespace trestle
