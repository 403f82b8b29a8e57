#include "trestle/testing/client_hello_kit.h"

#include <algorithm>
#include <iterator>
#include <random>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "trestle/wire/client_hello.h"

namespace trestle::testing {
namespace {

constexpr uint16_t kTls12 = 0x0303;
constexpr uint16_t kTls13 = 0x0304;
constexpr uint16_t kP256 = 0x0017;
constexpr uint16_t kX25519 = 0x001d;
constexpr uint16_t kX25519MlKem768 = 0x11ec;
constexpr uint16_t kExtensionPadding = 21;
constexpr uint16_t kExtensionPskModes = 45;
constexpr uint8_t kHandshakeRecord = 22;
constexpr size_t kMaxRecordBytes = 16384;
constexpr size_t kRecordHeaderBytes = 5;

void PutU8(std::string& out, size_t value) { out.push_back(static_cast<char>(value)); }
void PutU16(std::string& out, size_t value) {
  PutU8(out, value >> 8);
  PutU8(out, value & 0xff);
}

std::string Prefixed8(absl::string_view bytes) {
  std::string out;
  PutU8(out, bytes.size());
  absl::StrAppend(&out, bytes);
  return out;
}

std::string Prefixed16(absl::string_view bytes) {
  std::string out;
  PutU16(out, bytes.size());
  absl::StrAppend(&out, bytes);
  return out;
}

std::string U16s(absl::Span<const uint16_t> values) {
  std::string out;
  for (uint16_t value : values) PutU16(out, value);
  return out;
}

// The base point of P-256: a valid share that needs no curve arithmetic.
constexpr unsigned char kP256BasePoint[65] = {
    0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5,
    0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4,
    0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a,
    0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33,
    0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5};

// Makes an ML-KEM-768 encapsulation key that passes the modulus check of FIPS 203 7.2. It has 768
// coefficients of 12 bits, two in three bytes, each below 3329, and then the 32-byte seed.
std::string MlKem768Key(absl::string_view noise) {
  constexpr int kModulus = 3329;
  std::string key;
  for (size_t i = 0; i < 384; ++i) {
    const int a = static_cast<unsigned char>(noise[i]) * 13 % kModulus;
    const int b = static_cast<unsigned char>(noise[i + 384]) * 13 % kModulus;
    PutU8(key, a & 0xff);
    PutU8(key, a >> 8 | (b & 0x0f) << 4);
    PutU8(key, b >> 4);
  }
  absl::StrAppend(&key, noise.substr(0, 32));
  return key;
}

std::vector<size_t> EveryNth(size_t step, size_t size) {
  std::vector<size_t> cuts;
  for (size_t at = step; at < size; at += step) cuts.push_back(at);
  return cuts;
}

std::vector<size_t> RandomCuts(std::mt19937_64& random, size_t max_cuts, size_t size) {
  std::vector<size_t> cuts(random() % (max_cuts + 1));
  for (size_t& cut : cuts) cut = 1 + random() % (size - 1);
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  return cuts;
}

size_t CountRecords(absl::string_view bytes) {
  size_t count = 0;
  while (!bytes.empty()) {
    const size_t payload =
        size_t{static_cast<uint8_t>(bytes[3])} << 8 | static_cast<uint8_t>(bytes[4]);
    bytes.remove_prefix(kRecordHeaderBytes + payload);
    ++count;
  }
  return count;
}

}  // namespace

HelloBuilder::HelloBuilder()
    : random_(RandomBytes(32)),
      session_id_(RandomBytes(32)),
      cipher_suites_({0x1301, 0x1302, 0x1303, 0xc02f}),
      compression_methods_(1, '\0') {}

// Uses splitmix64: the same bytes on every platform, and no state but the seed.
std::string HelloBuilder::RandomBytes(size_t size) {
  std::string bytes;
  while (bytes.size() < size) {
    uint64_t z = seed_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    bytes.push_back(static_cast<char>((z ^ z >> 31) & 0xff));
  }
  return bytes;
}

HelloBuilder& HelloBuilder::SetLegacyVersion(uint16_t version) {
  legacy_version_ = version;
  return *this;
}

HelloBuilder& HelloBuilder::SetRandom(uint64_t seed) {
  seed_ = seed;
  random_ = RandomBytes(32);
  return *this;
}

HelloBuilder& HelloBuilder::SetSessionId(absl::string_view id) {
  session_id_ = std::string(id);
  return *this;
}

HelloBuilder& HelloBuilder::SetCipherSuites(absl::Span<const uint16_t> suites) {
  cipher_suites_.assign(suites.begin(), suites.end());
  return *this;
}

HelloBuilder& HelloBuilder::SetCompressionMethods(absl::string_view methods) {
  compression_methods_ = std::string(methods);
  return *this;
}

HelloBuilder& HelloBuilder::OmitExtensionBlock() {
  has_extension_block_ = false;
  return *this;
}

HelloBuilder& HelloBuilder::Add(uint16_t type, absl::string_view body) {
  extensions_.emplace_back(type, std::string(body));
  return *this;
}

HelloBuilder& HelloBuilder::Remove(uint16_t type) {
  extensions_.erase(std::remove_if(extensions_.begin(), extensions_.end(),
                                   [&](const auto& e) { return e.first == type; }),
                    extensions_.end());
  return *this;
}

HelloBuilder& HelloBuilder::MoveToEnd(uint16_t type) {
  std::stable_partition(extensions_.begin(), extensions_.end(),
                        [&](const auto& e) { return e.first != type; });
  return *this;
}

HelloBuilder& HelloBuilder::ReverseExtensions() {
  std::reverse(extensions_.begin(), extensions_.end());
  return MoveToEnd(kExtensionPreSharedKey);
}

HelloBuilder& HelloBuilder::Replace(uint16_t type, absl::string_view body) {
  for (auto& extension : extensions_) {
    if (extension.first == type) {
      extension.second = std::string(body);
      return *this;
    }
  }
  return Add(type, body);
}

HelloBuilder& HelloBuilder::SetServerName(absl::string_view host_name) {
  return Replace(kExtensionServerName,
                 Prefixed16(absl::StrCat(absl::string_view("\0", 1), Prefixed16(host_name))));
}

HelloBuilder& HelloBuilder::SetAlpn(absl::Span<const absl::string_view> protocols) {
  std::string list;
  for (absl::string_view protocol : protocols) absl::StrAppend(&list, Prefixed8(protocol));
  return Replace(kExtensionAlpn, Prefixed16(list));
}

HelloBuilder& HelloBuilder::SetVersions(absl::Span<const uint16_t> versions) {
  return Replace(kExtensionSupportedVersions, Prefixed8(U16s(versions)));
}

HelloBuilder& HelloBuilder::SetGroups(absl::Span<const uint16_t> groups) {
  return Replace(kExtensionSupportedGroups, Prefixed16(U16s(groups)));
}

HelloBuilder& HelloBuilder::SetSignatureAlgorithms(absl::Span<const uint16_t> algorithms) {
  return Replace(kExtensionSignatureAlgorithms, Prefixed16(U16s(algorithms)));
}

HelloBuilder& HelloBuilder::SetKeyShares(absl::Span<const uint16_t> groups) {
  std::string list;
  for (uint16_t group : groups) {
    std::string share(1, '\0');
    if (group == kX25519) share = RandomBytes(32);
    if (group == kX25519MlKem768) share = MlKem768Key(RandomBytes(768)) + RandomBytes(32);
    if (group == kP256) share.assign(std::begin(kP256BasePoint), std::end(kP256BasePoint));
    PutU16(list, group);
    absl::StrAppend(&list, Prefixed16(share));
  }
  return Replace(kExtensionKeyShare, Prefixed16(list));
}

HelloBuilder& HelloBuilder::AddGrease() {
  cipher_suites_.insert(cipher_suites_.begin(), 0x8a8a);
  extensions_.emplace(extensions_.begin(), 0x2a2a, "");
  for (auto& [type, body] : extensions_) {
    // Inserts an entry at the beginning of a list, and updates the list's length.
    const auto put_in = [&body = body](size_t length_bytes, absl::string_view entry) {
      const std::string list = absl::StrCat(entry, absl::string_view(body).substr(length_bytes));
      body = length_bytes == 1 ? Prefixed8(list) : Prefixed16(list);
    };
    if (type == kExtensionSupportedGroups) put_in(2, "\xba\xba");
    if (type == kExtensionKeyShare) put_in(2, absl::string_view("\xba\xba\x00\x01\x00", 5));
    if (type == kExtensionSupportedVersions) put_in(1, "\x6a\x6a");
    if (type == kExtensionAlpn) put_in(2, "\x02\x4a\x4a");
  }
  return Add(0x7a7a, absl::string_view("\0", 1)).MoveToEnd(kExtensionPreSharedKey);
}

HelloBuilder& HelloBuilder::AddEchOuter(uint8_t config_id, size_t payload_bytes) {
  std::string body(1, '\0');
  PutU16(body, 1);  // HKDF-SHA256
  PutU16(body, 1);  // AES-128-GCM
  PutU8(body, config_id);
  absl::StrAppend(&body, Prefixed16(RandomBytes(32)), Prefixed16(RandomBytes(payload_bytes)));
  return Add(kExtensionEncryptedClientHello, body).MoveToEnd(kExtensionPreSharedKey);
}

HelloBuilder& HelloBuilder::AddTicket(size_t ticket_bytes) {
  const std::string identity = Prefixed16(RandomBytes(ticket_bytes)) + RandomBytes(4);
  const std::string binder = Prefixed8(RandomBytes(32));
  Replace(kExtensionPskModes, "\x01\x01");
  return Add(kExtensionPreSharedKey, Prefixed16(identity) + Prefixed16(binder));
}

HelloBuilder& HelloBuilder::AddEarlyData() {
  return Add(kExtensionEarlyData, "").MoveToEnd(kExtensionPreSharedKey);
}

HelloBuilder& HelloBuilder::PadTo(size_t message_bytes) {
  const size_t size = Message().size() + 4;
  if (size > message_bytes) return *this;
  return Add(kExtensionPadding, std::string(message_bytes - size, '\0'))
      .MoveToEnd(kExtensionPreSharedKey);
}

std::string HelloBuilder::Message() const {
  std::string body;
  PutU16(body, legacy_version_);
  absl::StrAppend(&body, random_, Prefixed8(session_id_), Prefixed16(U16s(cipher_suites_)),
                  Prefixed8(compression_methods_));
  if (has_extension_block_) {
    std::string block;
    for (const auto& [type, extension] : extensions_) {
      PutU16(block, type);
      absl::StrAppend(&block, Prefixed16(extension));
    }
    absl::StrAppend(&body, Prefixed16(block));
  }
  std::string message(1, '\x01');
  PutU8(message, body.size() >> 16);
  PutU16(message, body.size() & 0xffff);
  return message + body;
}

HelloBuilder Tls12Hello(absl::string_view server_name) {
  HelloBuilder hello;
  hello.SetSessionId("").SetCipherSuites({0xc02b, 0xc02f, 0xcca9, 0xcca8, 0xc02c, 0xc030});
  hello.SetServerName(server_name)
      .Add(23, "")  // extended_master_secret
      .Add(0xff01, absl::string_view("\0", 1))
      .SetGroups({kX25519, kP256, 0x0018})
      .Add(kExtensionEcPointFormats, absl::string_view("\x01\x00", 2))
      .Add(35, "")  // session_ticket
      .SetAlpn({"h2", "http/1.1"})
      .SetSignatureAlgorithms({0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601});
  return hello;
}

HelloBuilder PostQuantumHello(absl::string_view server_name) {
  HelloBuilder hello = Tls12Hello(server_name);
  hello.SetSessionId(std::string(32, '\x5a'))
      .SetCipherSuites({0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8,
                        0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035})
      .SetVersions({kTls13, kTls12})
      .Add(kExtensionPskModes, "\x01\x01")
      .Add(5, absl::string_view("\x01\x00\x00\x00\x00", 5))  // status_request
      .Add(18, "")                                           // signed_certificate_timestamp
      .Add(27, absl::string_view("\x02\x00\x02", 3))         // compress_certificate
      .SetGroups({kX25519MlKem768, kX25519, kP256, 0x0018})
      .SetKeyShares({kX25519MlKem768, kX25519});
  return hello;
}

HelloBuilder ClassicHello(absl::string_view server_name) {
  HelloBuilder hello = PostQuantumHello(server_name);
  hello.SetGroups({kX25519, kP256, 0x0018}).SetKeyShares({kX25519}).PadTo(512);
  return hello;
}

std::vector<KitHello> AllKitHellos(absl::string_view server_name) {
  std::vector<KitHello> hellos;
  const auto add = [&](absl::string_view name, const HelloBuilder& hello,
                       absl::string_view expected) {
    hellos.push_back({std::string(name), hello.Message(), std::string(expected)});
  };
  const auto classic = [&] { return ClassicHello(server_name); };
  const auto post_quantum = [&] { return PostQuantumHello(server_name); };
  add("classic", classic(), server_name);
  add("classic_grease", classic().AddGrease(), server_name);
  add("classic_reversed", classic().ReverseExtensions(), server_name);
  add("name_last", classic().MoveToEnd(kExtensionServerName), server_name);
  add("name_in_capitals", classic().SetServerName(absl::AsciiStrToUpper(server_name)), server_name);
  add("name_with_dot", classic().SetServerName(absl::StrCat(server_name, ".")), server_name);
  add("no_name", classic().Remove(kExtensionServerName), "");
  add("no_alpn", classic().Remove(kExtensionAlpn), server_name);
  add("acme", classic().SetAlpn({"acme-tls/1"}), server_name);
  add("tls12", Tls12Hello(server_name), server_name);
  add("no_extensions", Tls12Hello(server_name).OmitExtensionBlock(), "");
  add("post_quantum", post_quantum(), server_name);
  add("post_quantum_grease", post_quantum().AddGrease(), server_name);
  add("post_quantum_name_last", post_quantum().MoveToEnd(kExtensionServerName), server_name);
  add("ech_outer", post_quantum().AddEchOuter(7, 239), server_name);
  add("ticket", classic().AddTicket(192), server_name);
  add("ticket_early_data", classic().AddTicket(192).AddEarlyData(), server_name);
  add("ticket_12k", post_quantum().AddTicket(12000), server_name);
  add("hello_16k", post_quantum().PadTo(4 + 16384).MoveToEnd(kExtensionServerName), server_name);
  HelloBuilder crowded = classic().Remove(kExtensionServerName);
  for (uint16_t type = 0x4000; type < 0x4000 + 60; ++type) crowded.Add(type, "unknown");
  add("60_unknown_extensions", crowded.SetServerName(server_name), server_name);
  return hellos;
}

std::string InRecord(uint8_t type, absl::string_view payload, uint16_t record_version) {
  std::string record;
  PutU8(record, type);
  PutU16(record, record_version);
  return absl::StrCat(record, Prefixed16(payload));
}

std::string InRecords(absl::string_view message, absl::Span<const size_t> cuts,
                      uint16_t record_version) {
  std::string records;
  for (const std::string& piece : CutAt(message, cuts)) {
    for (size_t at = 0; at < piece.size(); at += kMaxRecordBytes) {
      const absl::string_view payload = absl::string_view(piece).substr(at, kMaxRecordBytes);
      absl::StrAppend(&records, InRecord(kHandshakeRecord, payload, record_version));
    }
  }
  return records;
}

std::vector<std::string> CutAt(absl::string_view bytes, absl::Span<const size_t> cuts) {
  std::vector<std::string> pieces;
  size_t begin = 0;
  for (size_t cut : cuts) {
    pieces.emplace_back(bytes.substr(begin, cut - begin));
    begin = cut;
  }
  pieces.emplace_back(bytes.substr(begin));
  return pieces;
}

size_t ForEachSplit(absl::string_view message, const SplitPlan& plan,
                    absl::FunctionRef<void(const Flight&)> visit) {
  size_t count = 0;
  const auto give = [&](std::string label, absl::string_view bytes, absl::Span<const size_t> cuts) {
    visit({std::move(label), CutAt(bytes, cuts), CountRecords(bytes)});
    ++count;
  };
  const std::string whole = InRecords(message);
  give("whole", whole, {});
  for (size_t cut = 1; plan.every_segment_cut && cut < whole.size(); ++cut) {
    give(absl::StrCat("segment cut at ", cut), whole, {cut});
  }
  for (size_t cut = 1; plan.every_record_cut && cut < message.size(); ++cut) {
    const std::string records = InRecords(message, {cut});
    give(absl::StrCat("record cut at ", cut), records, {});
    give(absl::StrCat("record and segment cut at ", cut), records, {cut + 5});
  }
  for (size_t step : {size_t{1}, size_t{2}}) {
    const bool segments = step == 1 ? plan.one_byte_segments : plan.pairs;
    const bool records = step == 1 ? plan.one_byte_records : plan.pairs;
    const std::string many = InRecords(message, EveryNth(step, message.size()));
    if (segments) give(absl::StrCat("segments of ", step), whole, EveryNth(step, whole.size()));
    if (records) {
      give(absl::StrCat("records of ", step), many, {});
      give(absl::StrCat("records and segments of ", step), many, EveryNth(step, many.size()));
    }
  }
  std::mt19937_64 random(plan.seed);
  for (size_t i = 0; i < plan.random_partitions; ++i) {
    const std::string records =
        InRecords(message, RandomCuts(random, plan.max_random_cuts, message.size()));
    give(absl::StrCat("random partition ", i), records,
         RandomCuts(random, plan.max_random_cuts, records.size()));
  }
  return count;
}

}  // namespace trestle::testing
