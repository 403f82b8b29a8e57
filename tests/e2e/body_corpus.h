// BodyCorpus: malicious request bodies: forms, multipart forms and JSON, with all constructs that
// parsers are known to interpret differently.
#ifndef TRESTLE_TESTS_E2E_BODY_CORPUS_H_
#define TRESTLE_TESTS_E2E_BODY_CORPUS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace trestle::e2e {

/// The names, values and file names in bodies. Each occurs at most once per body.
constexpr const char* kMarkers[] = {"mka0", "mkb0", "mkc0", "mkd0", "mke0", "mkf0", "mkg0", "mkh0"};

struct CorpusBody {
  std::string content_type;  // Empty: none.
  std::string body;
};

/// Creates `count` bodies; the same seed gives the same bodies.
std::vector<CorpusBody> BodyCorpus(uint32_t seed, int count);

/// Encodes them for tests/e2e/body_parsers.
std::string Encode(const std::vector<CorpusBody>& corpus);

}  // namespace trestle::e2e

#endif  // TRESTLE_TESTS_E2E_BODY_CORPUS_H_
