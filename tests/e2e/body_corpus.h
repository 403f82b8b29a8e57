// BodyCorpus: bodies of requests as attackers write them: forms, multipart forms and JSON with
// everything at which parsers are known to differ.
#ifndef TRESTLE_TESTS_E2E_BODY_CORPUS_H_
#define TRESTLE_TESTS_E2E_BODY_CORPUS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace trestle::e2e {

/// Names, values and names of files in bodies are these, each at one place of a body at most.
constexpr const char* kMarkers[] = {"mka0", "mkb0", "mkc0", "mkd0", "mke0", "mkf0", "mkg0", "mkh0"};

struct CorpusBody {
  std::string content_type;  // Empty: none.
  std::string body;
};

/// Makes `count` bodies, the same ones for the same seed.
std::vector<CorpusBody> BodyCorpus(uint32_t seed, int count);

/// Writes them as tests/e2e/body_parsers read them.
std::string Encode(const std::vector<CorpusBody>& corpus);

}  // namespace trestle::e2e

#endif  // TRESTLE_TESTS_E2E_BODY_CORPUS_H_
