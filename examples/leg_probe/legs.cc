#include "examples/leg_probe/legs.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "examples/support/pem_files.h"
#include "examples/support/program.h"
#include "examples/support/public_roots.h"
#include "trestle/linux/ca_files.h"
#include "trestle/pki/chain_checker.h"
#include "trestle/pki/trust_store.h"
#include "trestle/proxy/route_text.h"
#include "trestle/tls/credential.h"

namespace trestle::examples {
namespace {

absl::Status Wrong(absl::string_view what) { return absl::InvalidArgumentError(what); }

absl::Status Wrong(absl::string_view what, const absl::Status& why) {
  return Wrong(absl::StrCat(what, ": ", Sentence(why)));
}

absl::StatusOr<std::shared_ptr<const Credential>> ReadCredential(const LegSettings& settings) {
  if (settings.cert.empty() || settings.key.empty()) {
    return Wrong("a client certificate needs both cert and key");
  }
  return LoadCredential(settings.cert, settings.key, "", nullptr, CredentialUse::kClient);
}

// Returns one address, or one name.
absl::StatusOr<Backends> ReadServer(const std::string& text) {
  absl::StatusOr<Backends> server = ParseBackends(text);
  if (!server.ok() || server->endpoints.size() + server->names.size() == 1) return server;
  return Wrong(absl::StrCat("\"", text, "\" has more than one server: list each as a leg"));
}

// Returns the legs to the addresses of one leg.
std::vector<LegToProbe> ByAddress(const LegToProbe& leg) {
  std::vector<LegToProbe> legs;
  if (leg.named.empty()) return {leg};
  for (const Endpoint& endpoint : EndpointsNow(leg.named)) {
    legs.emplace_back(leg).target.endpoint = endpoint;
  }
  if (legs.empty()) legs.push_back(leg);
  return legs;
}

std::optional<ProbedKeys> ParseKeys(absl::string_view text) {
  if (text == "any") return ProbedKeys::kAny;
  if (text == "ecdsa") return ProbedKeys::kEcdsa;
  if (text == "rsa") return ProbedKeys::kRsa;
  if (text == "each") return ProbedKeys::kEach;
  return std::nullopt;
}

}  // namespace

absl::Status ApplySetting(absl::string_view name, absl::string_view value, LegSettings& settings) {
  const std::pair<absl::string_view, std::string*> texts[] = {
      {"ca", &settings.ca},     {"crl", &settings.crl}, {"intermediates", &settings.intermediates},
      {"cert", &settings.cert}, {"key", &settings.key}, {"verify", &settings.verify_name},
      {"alpn", &settings.alpn},
  };
  for (const auto& [text_name, text] : texts) {
    if (name != text_name) continue;
    *text = std::string(value);
    return absl::OkStatus();
  }
  if (name == "key_type") {
    const std::optional<ProbedKeys> keys = ParseKeys(value);
    if (!keys.has_value()) {
      return Wrong(absl::StrCat("key_type must be any, ecdsa, rsa or each, not \"", value, "\""));
    }
    settings.keys = *keys;
    return absl::OkStatus();
  }
  if (name == "starttls") {
    const std::optional<StartTls> protocol = ParseStartTls(value);
    if (!protocol.has_value()) {
      return Wrong(
          absl::StrCat("starttls must be one of ", StartTlsNames(), ", not \"", value, "\""));
    }
    settings.start_tls = *protocol;
    return absl::OkStatus();
  }
  if (name == "proxy_header") {
    if (value != "none" && value != "v1" && value != "v2") {
      return Wrong(absl::StrCat("proxy_header must be none, v1 or v2, not \"", value, "\""));
    }
    settings.proxy_header = value == "v1"   ? ProxyProtocolOut::kV1
                            : value == "v2" ? ProxyProtocolOut::kV2
                                            : ProxyProtocolOut::kNone;
    return absl::OkStatus();
  }
  if (name == "ech_inner") {
    if (value != "yes" && value != "no") {
      return Wrong(absl::StrCat("ech_inner must be yes or no, not \"", value, "\""));
    }
    settings.ech_inner = value == "yes";
    return absl::OkStatus();
  }
  return Wrong(absl::StrCat("there is no setting \"", name, "\""));
}

std::vector<LegToProbe> LegsNow(const std::vector<LegToProbe>& legs) {
  std::vector<LegToProbe> now;
  for (size_t i = 0; i < legs.size(); ++i) {
    std::vector<LegToProbe> sides[] = {ByAddress(legs[i]), {}};
    const bool is_pair = i + 1 < legs.size() && legs[i].leg == Leg::kFront &&
                         legs[i + 1].leg == Leg::kBack && legs[i].route == legs[i + 1].route;
    if (is_pair) sides[1] = ByAddress(legs[++i]);
    const size_t rows = std::max(sides[0].size(), sides[1].size());
    for (size_t row = 0; row < rows; ++row) {
      for (std::vector<LegToProbe>& side : sides) {
        if (row < side.size()) now.push_back(std::move(side[row]));
      }
    }
  }
  return now;
}

LegReader::LegReader(LegSettings front_defaults, LegSettings back_defaults, absl::Duration limit)
    : front_defaults_(std::move(front_defaults)),
      back_defaults_(std::move(back_defaults)),
      limit_(limit) {}

absl::Status LegReader::AddRoute(absl::string_view label, absl::string_view front,
                                 absl::string_view back) {
  return Add(label, {std::string(front), front_defaults_}, {std::string(back), back_defaults_});
}

absl::Status LegReader::AddFile(absl::string_view text) {
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = line.substr(0, line.find('#'));
    const absl::Status added = AddLine(line);
    if (!added.ok()) return Wrong(absl::StrCat("line ", number, ": ", added.message()));
  }
  return absl::OkStatus();
}

absl::Status LegReader::AddLine(absl::string_view line) {
  SideText front{"", front_defaults_};
  SideText back{"", back_defaults_};
  SideText* side = nullptr;
  std::string label;
  bool empty = true;
  for (const absl::string_view word :
       absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty())) {
    const size_t equals = word.find('=');
    const absl::string_view name = word.substr(0, equals);
    const absl::string_view value =
        equals == absl::string_view::npos ? "" : word.substr(equals + 1);
    if (equals == absl::string_view::npos) {
      if (!empty) return Wrong(absl::StrCat("\"", word, "\" has no \"=\""));
      label = std::string(word);
    } else if (name == "front" || name == "back") {
      side = name == "front" ? &front : &back;
      if (!side->address_and_names.empty()) return Wrong(absl::StrCat(name, " is listed twice"));
      if (value.empty()) return Wrong(absl::StrCat(name, " is empty"));
      side->address_and_names = std::string(value);
    } else if (side == nullptr) {
      return Wrong(absl::StrCat("\"", word, "\" comes before front= or back="));
    } else if (absl::Status s = ApplySetting(name, value, side->settings); !s.ok()) {
      return s;
    }
    empty = false;
  }
  if (empty) return absl::OkStatus();
  return Add(label, front, back);
}

absl::Status LegReader::Add(absl::string_view label, const SideText& front, const SideText& back) {
  const bool front_each = front.settings.keys == ProbedKeys::kEach;
  const bool back_each = back.settings.keys == ProbedKeys::kEach;
  if (!front_each && !back_each) return AddPairs(label, "", front, back);
  SideText ecdsa[] = {front, back};
  SideText rsa[] = {front, back};
  for (const int side : {0, 1}) {
    if (!(side == 0 ? front_each : back_each)) {
      rsa[side].address_and_names.clear();  // Probed once, with ECDSA.
      continue;
    }
    ecdsa[side].settings.keys = ProbedKeys::kEcdsa;
    rsa[side].settings.keys = ProbedKeys::kRsa;
  }
  const absl::Status added = AddPairs(label, "/ecdsa", ecdsa[0], ecdsa[1]);
  if (!added.ok() || (rsa[0].address_and_names.empty() && rsa[1].address_and_names.empty())) {
    return added;
  }
  return AddPairs(label, "/rsa", rsa[0], rsa[1]);
}

absl::Status LegReader::AddPairs(absl::string_view label, absl::string_view suffix,
                                 const SideText& front, const SideText& back) {
  absl::StatusOr<std::vector<LegToProbe>> fronts = ReadSide(Leg::kFront, front);
  if (!fronts.ok()) return fronts.status();
  absl::StatusOr<std::vector<LegToProbe>> backs = ReadSide(Leg::kBack, back);
  if (!backs.ok()) return backs.status();
  if (fronts->empty() && backs->empty()) return Wrong("neither front= nor back= is there");
  const size_t pairs = std::max(fronts->size(), backs->size());
  for (size_t i = 0; i < pairs; ++i) {
    std::string route(label);
    if (route.empty()) {
      const LegProbeTarget& first = i < fronts->size() ? (*fronts)[i].target : (*backs)[i].target;
      route = first.expected_name();
    } else if (pairs > 1) {
      route = absl::StrCat(label, "[", i + 1, "]");
    }
    route.append(suffix.data(), suffix.size());
    for (std::vector<LegToProbe>* side : {&*fronts, &*backs}) {
      if (i >= side->size()) continue;
      (*side)[i].route = route;
      legs_.push_back(std::move((*side)[i]));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<LegToProbe>> LegReader::ReadSide(Leg leg, const SideText& side) {
  std::vector<LegToProbe> legs;
  if (side.address_and_names.empty()) return legs;
  std::vector<std::string> parts = absl::StrSplit(side.address_and_names, ',');
  const absl::StatusOr<Backends> server = ReadServer(parts.front());
  if (!server.ok()) return Wrong(absl::StrCat(EnumName(leg), " is wrong"), server.status());
  const absl::StatusOr<std::shared_ptr<const LegProbeConfig>> config = ConfigFor(side.settings);
  if (!config.ok()) return Wrong(absl::StrCat(EnumName(leg), " leg"), config.status());
  // Without a name, the address itself is verified.
  if (parts.size() == 1) {
    parts.push_back(server->names.empty() ? "" : server->names.front().certificate_name());
  }
  for (size_t i = 1; i < parts.size(); ++i) {
    LegToProbe one;
    one.leg = leg;
    one.config = *config;
    if (server->names.empty()) {
      one.target.endpoint = server->endpoints.front();
    } else {
      one.named = *server;
    }
    one.target.server_name = parts[i];
    one.target.verify_name = side.settings.verify_name;
    one.target.alpn = absl::StrSplit(side.settings.alpn, ',', absl::SkipEmpty());
    one.target.start_tls = side.settings.start_tls;
    one.target.proxy_header = side.settings.proxy_header;
    one.target.ech_inner = side.settings.ech_inner;
    legs.push_back(std::move(one));
  }
  return legs;
}

absl::StatusOr<std::shared_ptr<const LegProbeConfig>> LegReader::ConfigFor(
    const LegSettings& settings) {
  // A path contains no NUL.
  const std::string id = absl::StrCat(
      settings.ca, absl::string_view("\0", 1), settings.crl, absl::string_view("\0", 1),
      settings.intermediates, absl::string_view("\0", 1), settings.cert, absl::string_view("\0", 1),
      settings.key, absl::string_view("\0", 1), static_cast<int>(settings.keys));
  std::shared_ptr<const LegProbeConfig>& known = configs_[id];
  if (known != nullptr) return known;
  if (settings.ca.empty()) return Wrong("no CA file was given (--ca or ca=)");
  ChainCheckerOptions checker_options;
  absl::StatusOr<std::shared_ptr<const TrustStore>> trust =
      LoadTrustStore(settings.ca, settings.crl);
  if (!trust.ok()) return trust.status();
  checker_options.trust = *std::move(trust);
  const auto public_roots = PublicRoots();
  if (!public_roots.ok()) return public_roots.status();
  checker_options.public_roots = *public_roots;
  const auto dropped_roots = DroppedRoots();
  if (!dropped_roots.ok()) return dropped_roots.status();
  checker_options.dropped_roots = *dropped_roots;
  if (!settings.intermediates.empty()) {
    absl::StatusOr<std::string> intermediates = ReadCaCertificates(settings.intermediates);
    if (!intermediates.ok()) return intermediates.status();
    checker_options.known_intermediates_pem = *std::move(intermediates);
  }
  absl::StatusOr<std::shared_ptr<const ChainChecker>> checker =
      ChainChecker::Create(std::move(checker_options));
  if (!checker.ok()) return Wrong(settings.intermediates, checker.status());
  LegProbeOptions options;
  options.checker = *std::move(checker);
  if (!settings.cert.empty() || !settings.key.empty()) {
    absl::StatusOr<std::shared_ptr<const Credential>> credential = ReadCredential(settings);
    if (!credential.ok()) return credential.status();
    options.credential = *std::move(credential);
  }
  if (settings.keys == ProbedKeys::kEcdsa) options.key_type = KeyType::kEcdsa;
  if (settings.keys == ProbedKeys::kRsa) options.key_type = KeyType::kRsa;
  options.dial_timeout = options.start_tls_timeout = options.handshake_timeout = limit_;
  absl::StatusOr<std::shared_ptr<const LegProbeConfig>> config =
      LegProbeConfig::Create(std::move(options));
  if (!config.ok()) return config.status();
  known = *config;
  return known;
}

}  // namespace trestle::examples
