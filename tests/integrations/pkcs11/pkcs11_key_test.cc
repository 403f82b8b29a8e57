// Keys in a real token: SoftHSM, through its own module and through one that fails on demand.
#include "integrations/pkcs11/pkcs11_key.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integrations/pkcs11/soft_token.h"
#include "trestle/base/error.h"
#include "trestle/pki/signer_proof.h"
#include "trestle/testing/simulated_loop.h"
#include "trestle/testing/test_pki.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;

// Signs inside the call.
class DirectSigner final : public Signer {
 public:
  DirectSigner(const PrivateKey& key, std::optional<SignatureScheme> scheme)
      : key_(key), scheme_(scheme) {}

  std::unique_ptr<PendingCall> Sign(SignatureScheme scheme, ByteView input, Scheduler&,
                                    Done done) const override {
    done(key_.Sign(scheme_.value_or(scheme), input));
    return nullptr;
  }

 private:
  const PrivateKey& key_;
  const std::optional<SignatureScheme> scheme_;
};

class Pkcs11KeyTest : public ::testing::Test {
 protected:
  Pkcs11KeyTest() : token_(NewFolder()) {}

  static std::string NewFolder() {
    const std::string folder = absl::StrCat(
        ::testing::TempDir(), "/pkcs11_", ::testing::UnitTest::GetInstance()->random_seed(), "_",
        ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder);
    return folder;
  }

  PemPair Issue(KeyType type, int ec_bits = 256) const {
    LeafSpec leaf;
    leaf.dns_names = {"a.test"};
    leaf.key_type = type;
    leaf.ec_bits = ec_bits;
    return pki_.Issue(leaf);
  }

  // A certificate whose key is in the token.
  PemPair Imported(KeyType type, int ec_bits = 256) {
    const PemPair pair = Issue(type, ec_bits);
    if (type == KeyType::kEd25519) {
      token_.ImportEd25519("key", pair.key);
    } else {
      token_.Import("key", pair.key);
    }
    return pair;
  }

  absl::Status Prove(const PrivateKey& key, const PemPair& pair) {
    absl::Status result = absl::UnknownError("no answer");
    ProveSigner(DirectSigner(key, std::nullopt), pair.chain, SigningSide::kServer, loop_,
                [&](absl::Status status) { result = std::move(status); });
    return result;
  }

  static absl::Status OpenFault(const std::string& uri) {
    const auto key = Pkcs11Key::Create(uri);
    return key.ok() ? (*key)->Open() : key.status();
  }

  static void ExpectFault(const absl::Status& status, ErrorCode code, const std::string& text) {
    ASSERT_TRUE(GetError(status).has_value()) << status;
    EXPECT_EQ(GetError(status)->code, code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(text));
  }

  const TestPki pki_{absl::Now()};
  SimulatedLoop loop_;
  SoftToken token_;
};

TEST_F(Pkcs11KeyTest, SignsWithEcKeysOfAllCurves) {
  for (const int bits : {256, 384, 521}) {
    const PemPair pair = Issue(KeyType::kEcdsa, bits);
    const std::string label = absl::StrCat("p", bits);
    token_.Import(label, pair.key, "edge", absl::StrCat("0", bits));
    const auto key = *Pkcs11Key::Create(token_.Uri(label));
    EXPECT_EQ(Prove(*key, pair), absl::OkStatus());
    EXPECT_FALSE(key->is_rsa());
  }
}

TEST_F(Pkcs11KeyTest, SignsWithEd25519) {
  const PemPair pair = Imported(KeyType::kEd25519);
  EXPECT_EQ(Prove(**Pkcs11Key::Create(token_.Uri("key")), pair), absl::OkStatus());
}

TEST_F(Pkcs11KeyTest, SignsWithRsaByPssAndPkcs1) {
  const PemPair pair = Imported(KeyType::kRsa);
  const auto key = *Pkcs11Key::Create(token_.Uri("key"));
  EXPECT_FALSE(key->is_rsa()) << "not open yet";
  EXPECT_EQ(Prove(*key, pair), absl::OkStatus()) << "PSS with SHA-256";
  EXPECT_TRUE(key->is_rsa());
  EXPECT_EQ(key->Pkcs8Der(), "");
  const auto original = *PrivateKey::FromPem(pair.key);
  for (const SignatureScheme scheme :
       {SignatureScheme::kRsaPkcs1Sha256, SignatureScheme::kRsaPkcs1Sha384,
        SignatureScheme::kRsaPkcs1Sha512}) {
    // PKCS #1 v1.5 has no random part.
    EXPECT_EQ(*key->Sign(scheme, AsBytes("text")), *original->Sign(scheme, AsBytes("text")));
  }
  for (const SignatureScheme scheme :
       {SignatureScheme::kRsaPssSha384, SignatureScheme::kRsaPssSha512}) {
    EXPECT_EQ(key->Sign(scheme, AsBytes("text"))->size(), 256u);
  }
}

TEST_F(Pkcs11KeyTest, SchemesOfOtherKeysFail) {
  const PemPair pair = Imported(KeyType::kEcdsa);
  const auto key = *Pkcs11Key::Create(token_.Uri("key"));
  ExpectFault(key->Sign(SignatureScheme::kRsaPssSha256, AsBytes("text")).status(),
              ErrorCode::kInternal, "no signatures of this scheme");
}

TEST_F(Pkcs11KeyTest, ManyThreadsSignAtATime) {
  const PemPair pair = Imported(KeyType::kEcdsa);
  const auto key = *Pkcs11Key::Create(token_.Uri("key"));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 20; ++j) {
        EXPECT_TRUE(key->Sign(SignatureScheme::kEcdsaP256Sha256, AsBytes("text")).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(Pkcs11KeyTest, ATokenThatIsBackSignsAgain) {
  const PemPair pair = Imported(KeyType::kEcdsa);
  const auto key = *Pkcs11Key::Create(token_.FaultyUri("key"));
  EXPECT_EQ(Prove(*key, pair), absl::OkStatus());
  token_.SetFault("gone");
  ExpectFault(Prove(*key, pair), ErrorCode::kTransport, "no such token is present");
  token_.SetFault("");
  EXPECT_EQ(Prove(*key, pair), absl::OkStatus());
}

TEST_F(Pkcs11KeyTest, ATokenThatIsNotThereYetIsOpenedLater) {
  const PemPair pair = Imported(KeyType::kEcdsa);
  token_.SetFault("gone");
  const auto key = *Pkcs11Key::Create(token_.FaultyUri("key"));
  ExpectFault(key->Open(), ErrorCode::kTransport, "no such token is present");
  token_.SetFault("");
  EXPECT_EQ(Prove(*key, pair), absl::OkStatus());
}

TEST_F(Pkcs11KeyTest, ARefusedPinIsNotSentTwice) {
  const PemPair pair = Imported(KeyType::kEcdsa);
  token_.WritePin("9999");
  const auto key = *Pkcs11Key::Create(token_.Uri("key"));
  ExpectFault(key->Open(), ErrorCode::kConfiguration, "the token refuses the PIN");
  ExpectFault(key->Open(), ErrorCode::kConfiguration, "not tried again before the file changes");
  token_.WritePin("1234");
  EXPECT_EQ(Prove(*key, pair), absl::OkStatus());
}

TEST_F(Pkcs11KeyTest, PinsAreNeeded) {
  Imported(KeyType::kEcdsa);
  const std::string without = absl::StrCat("pkcs11:token=edge;object=key?module-path=", kSoftHsm);
  ExpectFault(OpenFault(without), ErrorCode::kConfiguration, "name its file by pin-source");
  token_.WritePin("");
  ExpectFault(OpenFault(token_.Uri("key")), ErrorCode::kConfiguration, "no PIN in its first line");
  ExpectFault(OpenFault(absl::StrCat(without, "&pin-source=/no/such/file")),
              ErrorCode::kConfiguration, "/no/such/file");
}

TEST_F(Pkcs11KeyTest, TheUriNamesOneKeyOfOneToken) {
  Imported(KeyType::kEcdsa);
  ExpectFault(OpenFault(token_.Uri("other")), ErrorCode::kConfiguration,
              "the token has no such private key");
  token_.Import("key", Issue(KeyType::kEcdsa).key, "edge", "02");
  ExpectFault(OpenFault(token_.Uri("key")), ErrorCode::kConfiguration, "several private keys fit");
  EXPECT_EQ(OpenFault(token_.Uri("key", ";id=%02;type=private")), absl::OkStatus());
  ExpectFault(OpenFault(absl::StrCat("pkcs11:token=none?module-path=", kSoftHsm)),
              ErrorCode::kTransport, "no such token is present");
  token_.AddToken("second");
  ExpectFault(OpenFault(absl::StrCat("pkcs11:object=key?module-path=", kSoftHsm,
                                     "&pin-source=", token_.pin_file())),
              ErrorCode::kConfiguration, "2 tokens fit");
}

TEST_F(Pkcs11KeyTest, AModuleThatIsNoneIsRefused) {
  ExpectFault(OpenFault("pkcs11:token=edge?module-path=/no/such/module.so"),
              ErrorCode::kConfiguration, "cannot load the PKCS #11 module /no/such/module.so");
}

TEST(Pkcs11UriTest, UnusableUrisAreRefused) {
  const auto fault = [](const std::string& text) {
    const absl::Status status = Pkcs11Uri::Parse(text).status();
    EXPECT_EQ(GetError(status).value_or(Error()).code, ErrorCode::kConfiguration) << text;
    return std::string(status.message());
  };
  EXPECT_THAT(fault("file:/key.pem"), HasSubstr("it is no PKCS #11 URI"));
  EXPECT_THAT(fault("pkcs11:object=%zz"), HasSubstr("it is no PKCS #11 URI"));
  EXPECT_THAT(fault("pkcs11:colour=red"), HasSubstr("an attribute that RFC 7512 doesn't have"));
  EXPECT_THAT(fault("pkcs11:object=a;type=cert"), HasSubstr("its type is not private"));
  EXPECT_THAT(fault("pkcs11:object=a?pin-value=1234"), HasSubstr("pin-value would show the PIN"));
  EXPECT_THAT(fault("pkcs11:object=a?module-name=x"), HasSubstr("module-name is not supported"));
  EXPECT_THAT(fault("pkcs11:object=a?module-path=x.so"), HasSubstr("module-path is no absolute"));
  EXPECT_THAT(fault("pkcs11:object=a?pin-source=|ls"), HasSubstr("pin-source is no absolute path"));
}

TEST(Pkcs11UriTest, PartsAreRead) {
  const Pkcs11Uri uri =
      *Pkcs11Uri::Parse("pkcs11:object=a;type=private?module-path=/m.so&pin-source=file:///p");
  EXPECT_EQ(uri.name(), "pkcs11:object=a;type=private");
  EXPECT_EQ(uri.module_path(), "/m.so");
  EXPECT_EQ(uri.pin_file(), "/p");
  EXPECT_EQ(Pkcs11Uri::Parse("pkcs11:object=a")->ReadPin().value(), "");
}

}  // namespace
}  // namespace trestle::testing
