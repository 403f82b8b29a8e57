// Folders of PEM files: which files belong together, which results are cached, and which file is
// faulty.
#include "trestle/tls/credential_files.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/tls_fixture.h"
#include "trestle/base/bytes.h"
#include "trestle/pki/signer.h"

namespace trestle::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string Encrypt(const std::string& pkcs8, const std::string& passphrase) {
  bssl::UniquePtr<BIO> in(BIO_new_mem_buf(pkcs8.data(), static_cast<int>(pkcs8.size())));
  bssl::UniquePtr<EVP_PKEY> key(PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr));
  bssl::UniquePtr<BIO> out(BIO_new(BIO_s_mem()));
  EXPECT_TRUE(PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), EVP_aes_256_cbc(),
                                            passphrase.data(), static_cast<int>(passphrase.size()),
                                            nullptr, nullptr));
  const uint8_t* text = nullptr;
  size_t bytes = 0;
  BIO_mem_contents(out.get(), &text, &bytes);
  return std::string(AsText(ByteView(text, bytes)));
}

class CredentialFilesTest : public TlsTest {
 protected:
  using Credentials = std::vector<std::shared_ptr<const Credential>>;

  void Put(const std::string& stem, const PemPair& pair) {
    folder_[stem + ".pem"] = pair.chain;
    folder_[stem + ".key"] = pair.key;
  }

  PemPair Leaf(const std::string& name, KeyType type = KeyType::kEcdsa) {
    return pki_.Issue(LeafFor(name, type));
  }

  absl::StatusOr<Credentials> Load() {
    std::vector<std::string> names;
    for (const auto& [name, text] : folder_) names.insert(names.begin(), name);
    reads_ = 0;
    return files_.Load(names, [this](const std::string& name) -> absl::StatusOr<std::string> {
      ++reads_;
      if (name == unreadable_) return absl::NotFoundError(absl::StrCat("cannot read ", name));
      return folder_.at(name);
    });
  }

  Credentials MustLoad() {
    absl::StatusOr<Credentials> loaded = Load();
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return loaded.ok() ? *std::move(loaded) : Credentials();
  }

  std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const auto& credential : MustLoad())
      names.push_back(CertificateName(credential->chain().front()));
    return names;
  }

  std::string Failure() {
    const absl::StatusOr<Credentials> loaded = Load();
    if (loaded.ok()) return "no failure";
    EXPECT_EQ(CodeOf(loaded.status()), ErrorCode::kConfiguration);
    return GetError(loaded.status())->detail;
  }

  std::map<std::string, std::string> folder_;
  std::string unreadable_;
  int reads_ = 0;
  CredentialFiles files_;
};

TEST_F(CredentialFilesTest, ChainAndKeyAreInOneFileOrTwo) {
  Put("b", Leaf("b.test"));
  const PemPair one = Leaf("a.test");
  folder_["a.pem"] = one.chain + one.key;
  const PemPair crt = Leaf("c.test");
  folder_["c.crt"] = crt.chain;
  folder_["c.key"] = crt.key;
  const PemPair cer = Leaf("d.test");
  folder_["d.cer"] = cer.key + cer.chain;
  folder_["README.txt"] = "nothing for us";
  folder_[".hidden.pem"] = "nor this";
  folder_[".pem"] = "nor this";
  folder_["old.pem.bak"] = "nor this";
  EXPECT_THAT(Names(), ElementsAre("a.test", "b.test", "c.test", "d.test"));
}

TEST_F(CredentialFilesTest, SeveralForANameAreAllLoaded) {
  Put("a.test.ecdsa", Leaf("a.test"));
  Put("a.test.rsa", Leaf("a.test", KeyType::kRsa));
  const Credentials loaded = MustLoad();
  ASSERT_EQ(loaded.size(), 2u);
  EXPECT_EQ(loaded[0]->key_type(), KeyType::kEcdsa);
  EXPECT_EQ(loaded[1]->key_type(), KeyType::kRsa);
}

TEST_F(CredentialFilesTest, UnchangedFilesKeepTheirCredentials) {
  for (const char* name : {"a.test", "b.test", "c.test"}) Put(name, Leaf(name));
  const Credentials first = MustLoad();
  EXPECT_EQ(files_.made_anew(), 3u);
  EXPECT_EQ(MustLoad(), first);
  EXPECT_EQ(files_.made_anew(), 0u);

  Put("b.test", Leaf("b.test"));
  folder_.erase("c.test.pem");
  folder_.erase("c.test.key");
  const Credentials second = MustLoad();
  ASSERT_EQ(second.size(), 2u);
  EXPECT_EQ(second[0], first[0]);
  EXPECT_NE(second[1], first[1]);
  EXPECT_EQ(files_.made_anew(), 1u);
  EXPECT_EQ(reads_, 4);
}

// Signs nothing; only who has it matters.
class FarSigner final : public Signer {
 public:
  std::unique_ptr<PendingCall> Sign(SignatureScheme, ByteView, Scheduler&, Done) const override {
    return nullptr;
  }
};

TEST_F(CredentialFilesTest, AKeyFileMayNameAKeyElsewhere) {
  std::vector<std::string> asked;
  absl::Status failure;
  CredentialFiles files(
      {}, nullptr,
      [&](absl::string_view chain_pem,
          absl::string_view where) -> absl::StatusOr<std::shared_ptr<const Signer>> {
        EXPECT_THAT(std::string(chain_pem), StartsWith("-----BEGIN CERTIFICATE"));
        asked.emplace_back(where);
        if (!failure.ok()) return failure;
        return std::make_shared<const FarSigner>();
      });
  const auto load = [&]() -> absl::StatusOr<Credentials> {
    std::vector<std::string> names;
    for (const auto& [name, text] : folder_) names.push_back(name);
    return files.Load(names, [this](const std::string& name) -> absl::StatusOr<std::string> {
      return folder_.at(name);
    });
  };
  folder_["a.pem"] = Leaf("a.test").chain;
  folder_["a.key"] = " pkcs11:token=edge;object=a \nwhat follows is a comment\n";
  Put("b", Leaf("b.test"));
  auto loaded = load();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->size(), 2u);
  EXPECT_THAT(asked, ElementsAre("pkcs11:token=edge;object=a"));
  ASSERT_TRUE(load().ok());
  EXPECT_EQ(asked.size(), 1u) << "unchanged files ask nobody";
  // A chain without a key asks for no key of another name.
  folder_["ca.crt"] = pki_.ca_pem();
  ASSERT_TRUE(load().ok());
  EXPECT_EQ(asked.size(), 1u);
  // A renewal asks again; its failure names both files.
  folder_["a.pem"] = Leaf("a.test").chain;
  failure = ConfigurationError("the token is away");
  loaded = load();
  EXPECT_EQ(GetError(loaded.status())->detail, "a.pem with a.key: the token is away");
  failure = absl::OkStatus();
  EXPECT_TRUE(load().ok());
  EXPECT_EQ(asked.size(), 3u);
}

TEST_F(CredentialFilesTest, WithoutAFinderAUriIsNoKey) {
  folder_["a.pem"] = Leaf("a.test").chain;
  folder_["a.key"] = "pkcs11:token=edge;object=a\n";
  EXPECT_THAT(Failure(), StartsWith("a.pem with a.key: "));
}

TEST_F(CredentialFilesTest, ChainsShareTheirIntermediates) {
  TestPki intermediate(pki_, "Intermediate");
  for (const char* name : {"a.test", "b.test"}) Put(name, intermediate.Issue(LeafFor(name)));
  const Credentials loaded = MustLoad();
  ASSERT_EQ(loaded.size(), 2u);
  EXPECT_EQ(loaded[0]->chain().size(), 2u);
  // The chains outlive the files, as with open connections.
  CredentialFiles other;
  Credentials outlived;
  {
    CredentialFiles files;
    outlived = *files.Load({"a.test.pem", "a.test.key"},
                           [this](const std::string& name) { return folder_.at(name); });
  }
  EXPECT_EQ(outlived[0]->chain()[1].subject, "CN=Intermediate");
}

TEST_F(CredentialFilesTest, TheFaultyFileIsNamed) {
  EXPECT_THAT(Failure(), HasSubstr("there is no file NAME.pem"));
  Put("a", Leaf("a.test"));
  MustLoad();
  const auto good = folder_;

  folder_["a.key"] = Leaf("a.test").key;
  EXPECT_THAT(Failure(), StartsWith("a.pem with a.key: the private key doesn't belong"));
  folder_ = good;
  folder_.erase("a.key");
  EXPECT_THAT(Failure(), StartsWith("a.pem has no key, neither in it nor in a.key"));
  folder_ = good;
  folder_["b.key"] = Leaf("b.test").key;
  EXPECT_THAT(Failure(), StartsWith("b.key: there is no certificate for it in b.pem"));
  folder_ = good;
  folder_["b.pem"] = "nonsense";
  EXPECT_THAT(Failure(), StartsWith("b.pem: the certificate chain holds no PEM block"));
  folder_ = good;
  folder_["a.pem"].resize(200);
  EXPECT_THAT(
      Failure(),
      StartsWith(
          "a.pem with a.key: the certificate chain, line 1: the PEM block \"CERTIFICATE\" is "
          "damaged"));
  folder_ = good;
  unreadable_ = "a.key";
  EXPECT_EQ(Load().status().message(), "cannot read a.key");
  unreadable_.clear();
  MustLoad();
  EXPECT_EQ(files_.made_anew(), 0u) << "a failure keeps the cached credentials";
}

// A Kubernetes secret of cert-manager: ca.crt, tls.crt, tls.key.
TEST_F(CredentialFilesTest, ACaBesideACertificateIsSkippedAndReported) {
  const PemPair leaf = Leaf("a.test");
  folder_ = {{"ca.crt", pki_.ca_pem()}, {"tls.crt", leaf.chain}, {"tls.key", leaf.key}};
  EXPECT_THAT(Names(), ElementsAre("a.test"));
  EXPECT_THAT(files_.notes(),
              ElementsAre("ca.crt has no key, neither in it nor in ca.key: is it a CA?"));
  EXPECT_THAT(Names(), ElementsAre("a.test"));
  EXPECT_EQ(files_.made_anew(), 0u);
  folder_ = {{"ca.crt", pki_.ca_pem()}};
  EXPECT_EQ(Failure(), "ca.crt has no key, neither in it nor in ca.key: is it a CA?");
}

TEST_F(CredentialFilesTest, CertbotsFolderCanBeUsed) {
  TestPki intermediate(pki_, "Intermediate");
  const PemPair full = intermediate.Issue(LeafFor("a.test"));
  const std::string leaf = full.chain.substr(0, full.chain.find("-----BEGIN", 1));
  folder_ = {{"README", "This directory contains your keys and certificates."},
             {"cert.pem", leaf},
             {"chain.pem", intermediate.chain_pem()},
             {"fullchain.pem", full.chain},
             {"privkey.pem", full.key}};
  const Credentials loaded = MustLoad();
  ASSERT_EQ(loaded.size(), 1u);
  EXPECT_EQ(loaded[0]->chain().size(), 2u);
  EXPECT_THAT(files_.notes(),
              ElementsAre("chain.pem has no key, neither in it nor in chain.key: is it a CA?",
                          "cert.pem is not used: fullchain.pem has its certificate with more of "
                          "the chain"));
  EXPECT_EQ(MustLoad(), loaded);
  EXPECT_EQ(files_.made_anew(), 0u);
  folder_.erase("privkey.pem");
  EXPECT_EQ(Failure(), "cert.pem has no key, neither in it nor in cert.key");
}

TEST_F(CredentialFilesTest, AcmeShsFolderCanBeUsed) {
  TestPki intermediate(pki_, "Intermediate");
  const PemPair full = intermediate.Issue(LeafFor("a.test"));
  const std::string leaf = full.chain.substr(0, full.chain.find("-----BEGIN", 1));
  folder_ = {{"a.test.cer", leaf},
             {"a.test.conf", "Le_Domain='a.test'"},
             {"a.test.csr", "request"},
             {"a.test.key", full.key},
             {"ca.cer", intermediate.chain_pem()},
             {"fullchain.cer", full.chain}};
  const Credentials loaded = MustLoad();
  ASSERT_EQ(loaded.size(), 1u);
  EXPECT_EQ(loaded[0]->chain().size(), 2u);
}

TEST_F(CredentialFilesTest, AnOcspResponseNeverBlocksARenewal) {
  TestPki intermediate(pki_, "Intermediate");
  const PemPair before = intermediate.Issue(LeafFor("a.test"));
  Put("a", before);
  folder_["a.ocsp"] = intermediate.IssueStaple(before);
  EXPECT_NE(MustLoad()[0]->staple_end(), absl::InfinitePast());
  EXPECT_THAT(files_.notes(), ElementsAre());
  Put("a", intermediate.Issue(LeafFor("a.test")));
  EXPECT_EQ(MustLoad()[0]->staple_end(), absl::InfinitePast());
  EXPECT_THAT(files_.notes(),
              ElementsAre("a.ocsp is not stapled: it is about another certificate"));
  // The response of a name without a certificate.
  folder_["b.ocsp"] = folder_["a.ocsp"];
  folder_.erase("a.ocsp");
  EXPECT_EQ(MustLoad().size(), 1u);
  EXPECT_THAT(files_.notes(), ElementsAre(StartsWith("b.ocsp: there is no certificate for it")));
}

TEST_F(CredentialFilesTest, EncryptedKeysNeedAPassphrase) {
  PemPair pair = Leaf("a.test");
  pair.key = Encrypt(pair.key, "open sesame");
  Put("a", pair);
  EXPECT_THAT(
      Failure(),
      StartsWith("a.pem with a.key: the private key's text, line 1: the private key is encrypted"));

  std::string answer = "open sesame";
  std::vector<std::string> asked;
  CredentialFiles files([&](absl::string_view name) -> absl::StatusOr<std::string> {
    asked.emplace_back(name);
    if (answer.empty()) return absl::UnavailableError("the vault is gone");
    return answer;
  });
  const auto load = [&] {
    return files.Load({"a.pem", "a.key"}, [&](const std::string& name) { return folder_[name]; });
  };
  EXPECT_TRUE(load().ok());
  EXPECT_THAT(asked, ElementsAre("a.key"));
  EXPECT_TRUE(load().ok());
  EXPECT_EQ(asked.size(), 1u) << "unchanged keys need no passphrase again";
  folder_["a.key"] = Encrypt(Leaf("a.test").key, "open sesame");
  answer = "wrong";
  EXPECT_THAT(GetError(load().status())->detail, HasSubstr("can't be decrypted"));
  answer.clear();
  EXPECT_THAT(GetError(load().status())->detail, StartsWith("a.pem with a.key: the vault is gone"));
  answer = std::string(5000, 'x');
  EXPECT_THAT(GetError(load().status())->detail, HasSubstr("can't be decrypted"));
}

// Keys in the format of `openssl rsa -aes128` before PKCS#8.
TEST_F(CredentialFilesTest, OldEncryptionIsSupported) {
  PemPair pair = Leaf("a.test", KeyType::kRsa);
  bssl::UniquePtr<BIO> in(BIO_new_mem_buf(pair.key.data(), -1));
  bssl::UniquePtr<EVP_PKEY> key(PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr));
  bssl::UniquePtr<BIO> out(BIO_new(BIO_s_mem()));
  unsigned char passphrase[] = "secret";
  ASSERT_TRUE(PEM_write_bio_RSAPrivateKey(out.get(), EVP_PKEY_get0_RSA(key.get()),
                                          EVP_aes_128_cbc(), passphrase, 6, nullptr, nullptr));
  const uint8_t* text = nullptr;
  size_t bytes = 0;
  ASSERT_TRUE(BIO_mem_contents(out.get(), &text, &bytes));
  pair.key = std::string(AsText(ByteView(text, bytes)));
  ASSERT_TRUE(absl::StrContains(pair.key, "ENCRYPTED"));
  Put("a", pair);
  CredentialFiles files([](absl::string_view) { return std::string("secret"); });
  const auto loaded =
      files.Load({"a.pem", "a.key"}, [&](const std::string& name) { return folder_[name]; });
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ((*loaded)[0]->key_type(), KeyType::kRsa);
}

// A bounded form of "reload under load": handshakes, and a transfer that continues. No replaced
// credential remains in memory.
TEST_F(CredentialFilesTest, AThousandReloadsLoseAndLeakNothing) {
  constexpr int kReloads = 1000;
  const PemPair versions[] = {Leaf("a.test"), Leaf("a.test")};
  Put("b", Leaf("b.test"));
  Put("a", versions[0]);
  auto store = *CertificateStore::Create(MustLoad(), loop_.Now());
  ServerTlsOptions options;
  options.certificates = store;
  const auto server_config = MakeServerConfig(std::move(options));
  const auto client_config = MakeClientConfig();
  const auto connect = [&] {
    EnginePair pair;
    pair.client = *TlsEngine::NewClient(client_config, {"a.test", {}}, loop_, Leg::kBack);
    pair.server = TlsEngine::NewServer(server_config, loop_, Leg::kFront);
    pair.Handshake();
    return pair;
  };
  EnginePair transfer = connect();
  std::vector<std::weak_ptr<const Credential>> made;
  for (int i = 1; i <= kReloads; ++i) {
    Put("a", versions[i % 2]);
    ASSERT_TRUE(store->Replace(MustLoad(), loop_.Now()).ok());
    made.push_back(store->current()->all().front());
    const EnginePair pair = connect();
    ASSERT_TRUE(pair.server->handshake_done()) << pair.server->status();
    ASSERT_TRUE(pair.client->handshake_done()) << pair.client->status();
    EXPECT_EQ(pair.server->info().certificate_generation, static_cast<uint64_t>(i) + 1);
    WriteAll(*transfer.server, "more");
    transfer.Carry();
    ASSERT_EQ(ReadAll(*transfer.client), "more");
  }
  EXPECT_EQ(transfer.server->info().certificate_generation, 1u)
      << "it has the generation of its handshake";
  size_t alive = 0;
  for (const auto& credential : made) alive += credential.expired() ? 0 : 1;
  EXPECT_EQ(alive, 1u);
}

}  // namespace
}  // namespace trestle::testing
