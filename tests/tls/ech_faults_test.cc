// Every violation of RFC 9849 by a client, with its error and its alert.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tls/ech_forge.h"
#include "tests/tls/ech_pair.h"
#include "trestle/base/error.h"
#include "trestle/testing/client_hello_kit.h"
#include "trestle/tls/ech_key_opener.h"
#include "trestle/tls/ech_keys.h"

namespace trestle::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint16_t kOuterExtensions = 0xfd00;
constexpr char kHidden[] = "hidden.test";

// RFC 8446 6.2.
constexpr uint8_t kIllegalParameter = 47;
constexpr uint8_t kDecodeError = 50;
constexpr uint8_t kDecryptError = 51;
constexpr uint8_t kMissingExtension = 109;

// A list of references: "\x04" and two types.
std::string References(std::vector<uint16_t> types) {
  std::string list(1, static_cast<char>(2 * types.size()));
  for (uint16_t type : types) list += {static_cast<char>(type >> 8), static_cast<char>(type)};
  return list;
}

HelloBuilder Inner() { return InnerHelloFor(kHidden); }
HelloBuilder InnerWithout(uint16_t type) { return Inner().Remove(type); }
// Returns an inner hello whose key shares and groups are in the outer one.
HelloBuilder InnerReferring(std::vector<uint16_t> types) {
  HelloBuilder inner = Inner();
  for (uint16_t type : types) inner.Remove(type);
  return inner.Add(kOuterExtensions, References(types)).Add(kExtensionEncryptedClientHello, "\x01");
}

struct Row {
  const char* label;
  EchFault fault;
  uint8_t alert;
  std::string encoded;
  HelloBuilder outer = OuterHello();
};

std::vector<Row> Rows() {
  const std::string good = EchForge::Encode(Inner(), 32);
  std::string with_session = Inner().SetSessionId("own").Message().substr(4);
  std::string odd_list = References({kExtensionKeyShare});
  odd_list[0] = 1;
  odd_list.pop_back();
  const auto referring = [](const std::string& list) {
    return EchForge::Encode(Inner().Add(kOuterExtensions, list));
  };
  const auto refer = [](std::vector<uint16_t> types) {
    return EchForge::Encode(InnerReferring(std::move(types)));
  };
  const auto versions = [](std::vector<uint16_t> offered) {
    return EchForge::Encode(Inner().SetVersions(offered));
  };
  return {
      {"nothing", EchFault::kUnreadable, kDecodeError, "\x03"},
      {"cut", EchFault::kUnreadable, kDecodeError, good.substr(0, 60)},
      {"no_extensions", EchFault::kUnreadable, kDecodeError,
       EchForge::Encode(Inner().OmitExtensionBlock())},
      {"padding", EchFault::kPadding, kIllegalParameter, good + "\x01"},
      {"padding_before_zeros", EchFault::kPadding, kIllegalParameter,
       absl::StrCat(good, "\x01", std::string(8, '\0'))},
      {"session_id", EchFault::kSessionId, kIllegalParameter, with_session},
      {"list_empty", EchFault::kReferences, kDecodeError, referring(std::string(1, '\0'))},
      {"list_odd", EchFault::kReferences, kDecodeError, referring(odd_list)},
      {"list_and_more", EchFault::kReferences, kDecodeError,
       referring(References({kExtensionKeyShare}) + "x")},
      {"list_without_body", EchFault::kReferences, kDecodeError, referring("")},
      {"two_lists", EchFault::kReferences, kDecodeError,
       EchForge::Encode(InnerWithout(kExtensionKeyShare)
                            .Add(kOuterExtensions, References({kExtensionKeyShare}))
                            .Add(kOuterExtensions, References({5})))},
      {"missing", EchFault::kReferenceMissing, kIllegalParameter, refer({0x4242})},
      {"missing_after_one", EchFault::kReferenceMissing, kIllegalParameter,
       refer({kExtensionSupportedGroups, 0x4242})},
      {"repeated", EchFault::kReferenceRepeated, kIllegalParameter,
       refer({kExtensionKeyShare, kExtensionKeyShare})},
      {"repeated_later", EchFault::kReferenceRepeated, kIllegalParameter,
       refer({kExtensionSupportedGroups, kExtensionKeyShare, kExtensionSupportedGroups})},
      {"wrong_order", EchFault::kReferenceOrder, kIllegalParameter,
       refer({kExtensionKeyShare, kExtensionSupportedGroups})},
      {"to_ech", EchFault::kReferenceToEch, kIllegalParameter,
       refer({kExtensionEncryptedClientHello})},
      {"to_the_list", EchFault::kReferenceToList, kIllegalParameter, refer({kOuterExtensions}),
       OuterHello().Add(kOuterExtensions, References({kExtensionKeyShare}))},
      {"no_marker", EchFault::kNoInnerMarker, kIllegalParameter,
       EchForge::Encode(InnerWithout(kExtensionEncryptedClientHello))},
      {"outer_marker", EchFault::kNoInnerMarker, kIllegalParameter,
       EchForge::Encode(InnerWithout(kExtensionEncryptedClientHello).AddEchOuter(1, 40))},
      {"marker_and_more", EchFault::kNoInnerMarker, kIllegalParameter,
       EchForge::Encode(Inner().Replace(kExtensionEncryptedClientHello, "\x01\x01"))},
      {"tls12_too", EchFault::kOldVersion, kIllegalParameter, versions({0x0304, 0x0303})},
      {"tls10_only", EchFault::kOldVersion, kIllegalParameter, versions({0x0301})},
      {"dtls", EchFault::kOldVersion, kIllegalParameter, versions({0x0304, 0xfefd})},
      {"no_versions", EchFault::kOldVersion, kIllegalParameter,
       EchForge::Encode(InnerWithout(kExtensionSupportedVersions))},
      {"twice", EchFault::kMalformedInner, kDecodeError,
       EchForge::Encode(Inner().Add(kExtensionAlpn, "x"))},
      {"twice_by_reference", EchFault::kMalformedInner, kDecodeError,
       EchForge::Encode(Inner().Add(kOuterExtensions, References({kExtensionKeyShare})))},
      {"name_that_is_none", EchFault::kMalformedInner, kDecodeError,
       EchForge::Encode(InnerHelloFor("hidden name!"))},
      {"too_large", EchFault::kInnerTooLarge, kDecodeError,
       EchForge::Encode(InnerReferring({0x4242}).Add(0x4243, std::string(9000, 'x'))),
       OuterHello().Add(0x4242, std::string(7000, 'x'))},
  };
}

EchOpening OpenMessage(EchOpener& opener, const std::string& message) {
  ClientHello hello;
  EXPECT_TRUE(ParseClientHello(AsBytes(message), {}, hello).ok());
  return opener.Open(hello, Endpoint(), MonotonicTime());
}

void ExpectFault(const EchOpening& opening, EchFault fault, uint8_t alert) {
  EXPECT_EQ(EnumName(opening.verdict), "malformed");
  EXPECT_EQ(EnumName(opening.fault), EnumName(fault)) << opening.error;
  const auto error = GetError(opening.error);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, ErrorCode::kMalformedHello);
  EXPECT_EQ(error->phase, Phase::kHello);
  EXPECT_EQ(error->alert, alert);
  EXPECT_THAT(error->detail, HasSubstr("ECH: "));
  EXPECT_THAT(error->detail, Not(HasSubstr("hidden")));
  EXPECT_EQ(opening.inner, nullptr);
  EXPECT_EQ(opening.context, nullptr);
}

class EchFaultsTest : public ::testing::Test {
 protected:
  const EchPair pair_ = NewEchPair(0, "public.test");
  const std::shared_ptr<EchKeyOpener> opener_ =
      *EchKeyOpener::Create(*EchKeys::FromPem(pair_.pem()), kNoBudget);
};

TEST_F(EchFaultsTest, FaultsOfTheFirstHelloAreReported) {
  for (const Row& row : Rows()) {
    SCOPED_TRACE(row.label);
    EchForge forge(pair_);
    ExpectFault(OpenMessage(*opener_, forge.Seal(row.outer, row.encoded)), row.fault, row.alert);
  }
  EXPECT_EQ(opener_->counts().by_config_id.at(0).malformed, Rows().size());
}

TEST_F(EchFaultsTest, AnInnerHelloInClearTextIsRejected) {
  ExpectFault(OpenMessage(*opener_, Inner().Message()), EchFault::kInnerInClear, kIllegalParameter);
  EXPECT_EQ(opener_->counts().inner_in_clear, 1u);
}

TEST_F(EchFaultsTest, FaultsOfTheSecondHelloAreReported) {
  const auto with = [](HelloBuilder inner) { return EchForge::Encode(inner); };
  struct SecondRow {
    const char* label;
    EchFault fault;
    uint8_t alert;
    absl::AnyInvocable<std::string(EchForge&)> second;
  };
  std::vector<SecondRow> rows;
  rows.push_back({"without", EchFault::kSecondWithout, kMissingExtension, [](EchForge&) {
                    return OuterHello().Remove(kExtensionEncryptedClientHello).Message();
                  }});
  rows.push_back({"inner", EchFault::kSecondWithout, kMissingExtension,
                  [](EchForge&) { return Inner().Message(); }});
  rows.push_back(
      {"config_id", EchFault::kSecondParameters, kIllegalParameter, [&](EchForge& forge) {
         forge.config_id = 1;
         return forge.Seal(OuterHello(), with(Inner()));
       }});
  rows.push_back({"suite", EchFault::kSecondParameters, kIllegalParameter, [&](EchForge& forge) {
                    forge.aead_id = EVP_HPKE_CHACHA20_POLY1305;
                    return forge.Seal(OuterHello(), with(Inner()));
                  }});
  rows.push_back({"kdf", EchFault::kSecondParameters, kIllegalParameter, [&](EchForge& forge) {
                    forge.kdf_id = EVP_HPKE_HKDF_SHA384;
                    return forge.Seal(OuterHello(), with(Inner()));
                  }});
  rows.push_back({"key", EchFault::kSecondKey, kIllegalParameter, [&](EchForge& forge) {
                    forge.send_key = true;
                    return forge.Seal(OuterHello(), with(Inner()));
                  }});
  rows.push_back({"other_bytes", EchFault::kSecondUndecrypted, kDecryptError, [&](EchForge& forge) {
                    forge.Seal(OuterHello(),
                               with(Inner()));  // Uses up the number of the second message.
                    return forge.Seal(OuterHello(), with(Inner()));
                  }});
  rows.push_back({"padding", EchFault::kPadding, kIllegalParameter, [&](EchForge& forge) {
                    return forge.Seal(OuterHello(), with(Inner()) + "\x01");
                  }});
  rows.push_back({"name", EchFault::kSecondName, kIllegalParameter, [&](EchForge& forge) {
                    return forge.Seal(OuterHello(), with(InnerHelloFor("hidden.other.test")));
                  }});
  rows.push_back({"no_name", EchFault::kSecondName, kIllegalParameter, [&](EchForge& forge) {
                    return forge.Seal(OuterHello(), with(InnerWithout(kExtensionServerName)));
                  }});
  rows.push_back({"protocols", EchFault::kSecondAlpn, kIllegalParameter, [&](EchForge& forge) {
                    return forge.Seal(OuterHello(), with(Inner().SetAlpn({"h2"})));
                  }});
  rows.push_back({"no_protocols", EchFault::kSecondAlpn, kIllegalParameter, [&](EchForge& forge) {
                    return forge.Seal(OuterHello(), with(InnerWithout(kExtensionAlpn)));
                  }});
  for (SecondRow& row : rows) {
    SCOPED_TRACE(row.label);
    EchForge forge(pair_);
    const EchOpening first = OpenMessage(*opener_, forge.Seal(OuterHello(), with(Inner())));
    ASSERT_EQ(first.verdict, EchVerdict::kOpened);
    forge.send_key = false;
    const std::string message = row.second(forge);
    ClientHello second;
    ASSERT_TRUE(ParseClientHello(AsBytes(message), {}, second).ok());
    ExpectFault(first.context->OpenSecond(second), row.fault, row.alert);
  }
}

TEST(EchNamesTest, AreDistinct) {
  std::vector<std::string> names;
  for (int fault = 0; fault <= static_cast<int>(EchFault::kSecondAlpn); ++fault) {
    const std::string name(EnumName(static_cast<EchFault>(fault)));
    EXPECT_THAT(names, Not(::testing::Contains(name)));
    names.push_back(name);
  }
  EXPECT_THAT(names, Not(::testing::Contains("unknown")));
}

}  // namespace
}  // namespace trestle::testing
