// Mutated hellos: a router in split mode and a BoringSSL server in shared mode agree about each.
// TRESTLE_ECH_MUTATIONS sets their number.
#include "tests/tls/ech_agreement.h"

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "tests/tls/ech_forge.h"
#include "trestle/testing/client_hello_kit.h"
#include "trestle/wire/client_hello.h"

namespace trestle::testing {
namespace {

constexpr uint16_t kOuterExtensions = 0xfd00;
constexpr uint16_t kTypes[] = {kExtensionServerName,
                               5,
                               kExtensionSupportedGroups,
                               kExtensionSignatureAlgorithms,
                               kExtensionAlpn,
                               18,
                               27,
                               kExtensionPreSharedKey,
                               kExtensionSupportedVersions,
                               kExtensionKeyShare,
                               kExtensionEncryptedClientHello,
                               kOuterExtensions,
                               0x4242};

size_t Mutations() {
  const char* text = std::getenv("TRESTLE_ECH_MUTATIONS");
  size_t count = 20000;
  if (text != nullptr) EXPECT_TRUE(absl::SimpleAtoi(text, &count));
  return count;
}

class Mutator {
 public:
  EchCase Next() {
    EchCase made;
    made.second = OneIn(4);
    HelloBuilder outer = PostQuantumHello("public.test").SetRandom(1);
    HelloBuilder inner = InnerHelloFor("a.test");
    outer.Add(kExtensionEncryptedClientHello, OuterExtension(made.second));
    if (OneIn(8)) outer.AddGrease();
    if (OneIn(8)) inner.AddGrease();
    if (OneIn(2)) Refer(inner);
    for (size_t n = Below(3); n > 0; --n) Change(outer);
    for (size_t n = Below(3); n > 0; --n) Change(inner);
    made.outer = outer.Message().substr(4);
    made.encoded = OneIn(20) ? inner.Message().substr(4) : EchForge::Encode(inner, Below(40));
    if (OneIn(4)) Damage(made.encoded);
    if (OneIn(10)) made.changed_at = static_cast<uint16_t>(random_());
    return made;
  }

 private:
  size_t Below(size_t limit) { return random_() % limit; }
  bool OneIn(size_t n) { return Below(n) == 0; }
  uint16_t Type() { return kTypes[Below(std::size(kTypes))]; }

  // Type, KDF, AEAD, config id, key, and one byte of payload.
  std::string OuterExtension(bool second) {
    const char aead = OneIn(30) ? '\3' : '\1';
    const char id = OneIn(30) ? '\0' : '\7';
    const bool key = second == OneIn(30);
    std::string body({'\0', '\0', OneIn(30) ? '\2' : '\1', '\0', aead, id, '\0', key ? ' ' : '\0'});
    return body + std::string(key ? 32 : 0, 'k') + std::string("\0\1p", 3);
  }

  // Replaces extensions with a list of references, usually a valid one.
  void Refer(HelloBuilder& inner) {
    std::vector<uint16_t> types;
    for (uint16_t type : {uint16_t{18}, uint16_t{27}, uint16_t{kExtensionSupportedGroups},
                          uint16_t{kExtensionKeyShare}}) {
      if (OneIn(2)) types.push_back(type);
    }
    if (types.empty() || OneIn(8)) types.push_back(Type());
    if (OneIn(10)) std::swap(types.front(), types.back());
    if (OneIn(10)) types.push_back(types[Below(types.size())]);
    std::string list(1, static_cast<char>(2 * types.size()));
    for (uint16_t type : types) {
      list += {static_cast<char>(type >> 8), static_cast<char>(type)};
      if (!OneIn(20)) inner.Remove(type);
    }
    inner.Add(kOuterExtensions, list);
    if (OneIn(2)) inner.MoveToEnd(kExtensionEncryptedClientHello);
  }

  void Change(HelloBuilder& hello) {
    switch (Below(8)) {
      case 0:
        hello.Remove(Type());
        break;
      case 1:
        hello.Add(Type(), std::string(Below(8), static_cast<char>(Below(4))));
        break;
      case 2:
        hello.MoveToEnd(Type());
        break;
      case 3:
        hello.ReverseExtensions();
        break;
      case 4:
        hello.SetVersions({uint16_t{0x0304}, static_cast<uint16_t>(0x0300 + Below(6))});
        break;
      case 5:
        hello.SetSessionId(std::string(Below(34), 's'));
        break;
      case 6:
        hello.AddTicket(Below(300)).AddEarlyData();
        break;
      case 7:
        hello.Add(0x4242, std::string(Below(40000) / (1 + Below(50)), 'x'));
        break;
    }
  }

  void Damage(std::string& bytes) {
    switch (Below(4)) {
      case 0:
        if (!bytes.empty()) bytes[Below(bytes.size())] ^= static_cast<char>(1 << Below(8));
        break;
      case 1:
        bytes.resize(Below(bytes.size() + 1));
        break;
      case 2:
        bytes.insert(Below(bytes.size() + 1), 1, static_cast<char>(Below(256)));
        break;
      case 3:
        bytes.push_back(static_cast<char>(Below(2)));
        break;
    }
  }

  std::mt19937_64 random_{20260526};
};

TEST(EchAgreementTest, BothAgreeAboutMutatedHellos) {
  EchAgreement agreement;
  Mutator mutator;
  std::map<EchVerdict, size_t> verdicts;
  for (size_t i = 0, end = Mutations(); i < end; ++i) {
    const EchCase next = mutator.Next();
    const std::string disagreement = agreement.Check(next);
    if (!disagreement.empty()) {
      const std::string file = ::testing::TempDir() + "/disagreement";
      std::ofstream(file, std::ios::binary) << next.Text();
      FAIL() << disagreement << " (mutation " << i << ", now in " << file << ")";
    }
    ++verdicts[agreement.verdict()];
  }
  for (EchVerdict verdict : {EchVerdict::kOpened, EchVerdict::kMalformed, EchVerdict::kNoKey,
                             EchVerdict::kNotDecrypted}) {
    std::printf("%s: %zu\n", std::string(EnumName(verdict)).c_str(), verdicts[verdict]);
    EXPECT_GT(verdicts[verdict], Mutations() / 200) << EnumName(verdict);
  }
}

}  // namespace
}  // namespace trestle::testing
