#include "trestle/tls/tls_reload.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/tls/engine/tls_internals.h"
#include "tests/tls/ech_pair.h"
#include "trestle/base/bytes.h"
#include "trestle/base/error.h"
#include "trestle/pki/trust_store.h"
#include "trestle/testing/test_pki.h"
#include "trestle/tls/ticket_keys.h"

namespace trestle::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class TlsReloadTest : public ::testing::Test {
 protected:
  std::shared_ptr<const Credential> Issue(const std::string& name) {
    LeafSpec leaf;
    leaf.dns_names = {name};
    return pki_.IssueCredential(leaf);
  }

  ClientAuthOptions Clients(ClientCertificate certificate) {
    ClientAuthOptions options;
    options.otherwise.certificate = certificate;
    options.otherwise.trust = *TrustStore::Create(pki_.ca_pem(), "");
    return options;
  }

  static std::string Keys(int count) {
    std::string text;
    for (int i = 0; i < count; ++i) {
      const std::string secret = absl::StrCat("secret number ", i, std::string(40, '.'));
      absl::StrAppend(&text, absl::Base64Escape(secret), "\n");
    }
    return text;
  }

  // Returns everything that a bridge can reload.
  ReloadTargets AllTargets() {
    ReloadTargets targets;
    targets.certificates = certificates_;
    targets.clients = clients_;
    targets.ticket_keys = ring_;
    targets.ech_keys = ech_keys_;
    targets.use_back_tls = [this](std::shared_ptr<const ClientTlsConfig> config) {
      back_tls_ = std::move(config);
    };
    return targets;
  }

  ReloadTargets OnlyCertificates() {
    ReloadTargets targets;
    targets.certificates = certificates_;
    return targets;
  }

  ReloadSources AllSources() {
    ReloadSources sources;
    sources.certificates = {Issue("public.test"), Issue("new.test")};
    sources.clients = Clients(ClientCertificate::kOptional);
    sources.ticket_keys = ReloadText{"/etc/keys", Keys(3)};
    sources.ech_keys = ReloadText{"/etc/ech", NewEchPair(2, "public.test").pem()};
    sources.back_tls.emplace();
    sources.back_tls->ca_pem = pki_.ca_pem();
    sources.back_tls_name = "/etc/ca.pem";
    return sources;
  }

  // Returns the error of a rejected reload, and checks that it changed nothing.
  std::string Refusal(ReloadSources sources) {
    const auto certificates = certificates_->current();
    const std::string ech = ech_keys_->PublishedConfigs();
    const std::string ticket = Seal();
    TlsReload reload(AllTargets());
    const auto prepared = reload.Prepare(std::move(sources), now_);
    EXPECT_FALSE(prepared.ok());
    EXPECT_EQ(reload.generation(), 1u);
    EXPECT_EQ(certificates_->current(), certificates);
    EXPECT_EQ(ech_keys_->PublishedConfigs(), ech);
    EXPECT_TRUE(Opens(ticket));
    EXPECT_EQ(back_tls_, nullptr);
    const auto error = GetError(prepared.status());
    EXPECT_EQ(error.value().code, ErrorCode::kConfiguration);
    return error->detail;
  }

  std::string Seal() {
    std::string sealed(100, 0);
    auto out = MutableByteView(reinterpret_cast<uint8_t*>(&sealed[0]), sealed.size());
    sealed.resize(ring_->Seal(AsBytes("ticket"), out, now_));
    return sealed;
  }

  bool Opens(const std::string& ticket) {
    std::vector<uint8_t> out(ticket.size());
    size_t bytes = 0;
    return ring_->Open(AsBytes(ticket), absl::MakeSpan(out), bytes, now_);
  }

  const absl::Time now_ = absl::FromUnixSeconds(1'767'225'600);
  TestPki pki_{now_};
  std::shared_ptr<CertificateStore> certificates_ =
      *CertificateStore::Create({Issue("public.test")}, now_);
  std::shared_ptr<ClientAuthentication> clients_ =
      *ClientAuthentication::Create(Clients(ClientCertificate::kRequired));
  std::shared_ptr<TicketKeyRing> ring_ =
      *TicketKeyRing::FromKeys({TicketKey::Random(absl::UnixEpoch())});
  std::shared_ptr<EchKeys> ech_keys_ = *EchKeys::FromPem(NewEchPair(1, "public.test").pem());
  std::shared_ptr<const ClientTlsConfig> back_tls_;
};

TEST_F(TlsReloadTest, ReplacesAllPartsAtOnce) {
  const auto clients = TlsInternals::Current(*clients_);
  const std::string ech = ech_keys_->PublishedConfigs();
  const std::string ticket = Seal();
  TlsReload reload(AllTargets());
  auto prepared = reload.Prepare(AllSources(), now_);
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  // So far nothing has changed.
  EXPECT_EQ(certificates_->current()->generation(), 1u);
  EXPECT_EQ(TlsInternals::Current(*clients_), clients);
  EXPECT_TRUE(Opens(ticket));
  EXPECT_EQ(back_tls_, nullptr);

  EXPECT_EQ(reload.Commit(*std::move(prepared)), 2u);
  EXPECT_EQ(reload.generation(), 2u);
  EXPECT_EQ(certificates_->current()->generation(), 2u);
  EXPECT_FALSE(certificates_->current()->Choose("new.test", now_).empty());
  EXPECT_NE(TlsInternals::Current(*clients_), clients);
  EXPECT_FALSE(Opens(ticket));
  EXPECT_NE(ech_keys_->PublishedConfigs(), ech);
  EXPECT_NE(back_tls_, nullptr);
}

TEST_F(TlsReloadTest, InvalidTicketKeysKeepTheCertificates) {
  for (const auto& [text, complaint] : std::vector<std::pair<std::string, std::string>>{
           {"", "there are no ticket keys"},
           {"# only a comment\n", "there are no ticket keys"},
           {"# comment\n" + Keys(1) + Keys(1),
            "line 3 of the ticket keys has the key of line 2 again"},
           {Keys(17), "there are 17 ticket keys, over 16"},
           {Keys(1) + "nonsense\n", "line 2 of the ticket keys"}}) {
    ReloadSources sources = AllSources();
    sources.ticket_keys->text = text;
    EXPECT_THAT(Refusal(std::move(sources)),
                HasSubstr(absl::StrCat("cannot use /etc/keys: ", complaint)));
  }
}

TEST_F(TlsReloadTest, AnyInvalidPartRejectsAll) {
  ReloadSources certificates = AllSources();
  certificates.certificates = {nullptr};
  EXPECT_THAT(Refusal(std::move(certificates)), HasSubstr("one of the credentials is null"));
  ReloadSources clients = AllSources();
  clients.clients->otherwise.trust = nullptr;
  EXPECT_THAT(Refusal(std::move(clients)), HasSubstr("trust"));
  ReloadSources ech_keys = AllSources();
  ech_keys.ech_keys->text = "nonsense";
  EXPECT_THAT(Refusal(std::move(ech_keys)), HasSubstr("cannot use /etc/ech: "));
  ReloadSources back_tls = AllSources();
  back_tls.back_tls->ca_pem = "nonsense";
  EXPECT_THAT(Refusal(std::move(back_tls)), HasSubstr("cannot use /etc/ca.pem: "));
}

TEST_F(TlsReloadTest, AllFaultsAreReported) {
  ReloadSources sources = AllSources();
  sources.ticket_keys->text = "nonsense";
  sources.back_tls->ca_pem = "nonsense";
  EXPECT_THAT(Refusal(std::move(sources)),
              AllOf(HasSubstr("cannot use /etc/keys: line 1"), HasSubstr("; cannot use /etc/ca")));
}

TEST_F(TlsReloadTest, PublicNamesOfEchNeedACertificateOfTheSameReload) {
  ReloadSources sources = AllSources();
  sources.certificates = {Issue("new.test")};
  EXPECT_THAT(Refusal(std::move(sources)), HasSubstr("no certificate for \"public.test\""));
  // The same if only the certificates change.
  ReloadSources alone;
  alone.certificates = {Issue("new.test")};
  EXPECT_THAT(Refusal(std::move(alone)), HasSubstr("no certificate for \"public.test\""));
}

TEST_F(TlsReloadTest, NamesThatAreLostAreToldBeforeTheyAre) {
  LeafSpec many;
  many.dns_names = {"a.test", "b.test", "x.wide.test", "*.wild.test"};
  many.ip_names = {"192.0.2.1"};
  ASSERT_TRUE(certificates_->Replace({pki_.IssueCredential(many)}, now_).ok());
  TlsReload reload(OnlyCertificates());
  ReloadSources sources;
  sources.certificates = {Issue("a.test"), Issue("*.wide.test"), Issue("y.wild.test")};
  auto prepared = reload.Prepare(sources, now_);
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  ASSERT_EQ(prepared->findings().size(), 1u);
  EXPECT_EQ(prepared->findings()[0].severity, Severity::kWarning);
  EXPECT_EQ(prepared->findings()[0].code, "names_lost");
  EXPECT_EQ(
      prepared->findings()[0].text,
      "the new certificates lack 3 names of the present ones: *.wild.test, 192.0.2.1, b.test");
  EXPECT_FALSE(certificates_->current()->Choose("b.test", now_).empty()) << "not live yet";

  TlsReloadOptions strict;
  strict.refuse_lost_names = true;
  TlsReload refusing(OnlyCertificates(), strict);
  const auto refused = refusing.Prepare(sources, now_);
  EXPECT_EQ(GetError(refused.status())->code, ErrorCode::kConfiguration);
  EXPECT_THAT(GetError(refused.status())->detail, HasSubstr("lack 3 names of the present ones"));
  EXPECT_FALSE(certificates_->current()->Choose("b.test", now_).empty());

  ReloadSources more;
  more.certificates = {pki_.IssueCredential(many), Issue("new.test")};
  const auto gain = refusing.Prepare(more, now_);
  ASSERT_TRUE(gain.ok()) << gain.status();
  EXPECT_TRUE(gain->findings().empty());
}

TEST_F(TlsReloadTest, ManyLostNamesAreCut) {
  LeafSpec many;
  for (int i = 10; i < 30; ++i) many.dns_names.push_back(absl::StrCat("n", i, ".test"));
  ASSERT_TRUE(certificates_->Replace({pki_.IssueCredential(many)}, now_).ok());
  ReloadSources sources;
  sources.certificates = {Issue("a.test")};
  const auto prepared = TlsReload(OnlyCertificates()).Prepare(std::move(sources), now_);
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  EXPECT_THAT(prepared->findings().at(0).text, HasSubstr("n17.test, and 12 more"));
}

// Until the new certificate becomes valid, the previous one serves its names.
TEST_F(TlsReloadTest, ANameThatWaitsForItsCertificateIsNotLost) {
  LeafSpec early;
  early.dns_names = {"public.test"};
  early.not_before = now_ + absl::Hours(1);
  ReloadSources sources;
  sources.certificates = {pki_.IssueCredential(early)};
  const auto prepared = TlsReload(OnlyCertificates()).Prepare(std::move(sources), now_);
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  EXPECT_TRUE(prepared->findings().empty());
}

TEST_F(TlsReloadTest, APartWithoutASourceRemainsAndASourceWithoutAPartIsAnError) {
  TlsReload reload(AllTargets());
  const auto certificates = certificates_->current();
  const std::string ticket = Seal();
  ReloadSources only_clients;
  only_clients.clients = Clients(ClientCertificate::kOptional);
  auto prepared = reload.Prepare(std::move(only_clients), now_);
  ASSERT_TRUE(prepared.ok()) << prepared.status();
  EXPECT_EQ(reload.Commit(*std::move(prepared)), 2u);
  EXPECT_EQ(certificates_->current(), certificates);
  EXPECT_TRUE(Opens(ticket));

  TlsReload nothing({});
  EXPECT_THAT(std::string(nothing.Prepare(AllSources(), now_).status().message()),
              AllOf(HasSubstr("certificates can't be reloaded: there were none before"),
                    HasSubstr("client policies can't"), HasSubstr("ticket keys can't"),
                    HasSubstr("ECH keys can't"), HasSubstr("TLS towards backends can't")));
}

}  // namespace
}  // namespace trestle::testing
