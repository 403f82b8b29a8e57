// Chains and CA files from practice, and every order of both.
#ifndef TRESTLE_TESTS_PKI_PATH_SHAPE_H_
#define TRESTLE_TESTS_PKI_PATH_SHAPE_H_

#include <algorithm>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "trestle/testing/test_pki.h"

namespace trestle::testing {

/// A leaf issued by `issuer`, with the other sent certificates and the trusted ones.
struct PathShape {
  const TestPki& issuer;
  std::vector<std::string> sent;     ///< PEM texts of one certificate each.
  std::vector<std::string> trusted;  ///< The same.
  std::string crls = "";
  bool trusts_leaf = false;
};

/// Calls `visit` for every order of the sent certificates after the leaf and of the CA file.
inline void ForEachOrder(PathShape shape, absl::FunctionRef<void(const PathShape&)> visit) {
  std::sort(shape.sent.begin(), shape.sent.end());
  do {
    std::sort(shape.trusted.begin(), shape.trusted.end());
    do visit(shape);
    while (std::next_permutation(shape.trusted.begin(), shape.trusted.end()));
  } while (std::next_permutation(shape.sent.begin(), shape.sent.end()));
}

}  // namespace trestle::testing

#endif  // TRESTLE_TESTS_PKI_PATH_SHAPE_H_
