#include "trestle/tls/ticket_keys.h"

#include <openssl/mem.h>
#include <openssl/rand.h>

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "trestle/base/error.h"

namespace trestle {
namespace {

constexpr size_t kRandomBytes = 48;

// A string that wipes its bytes when destroyed.
class SecretText {
 public:
  ~SecretText() { OPENSSL_cleanse(&text_[0], text_.size()); }
  std::string& get() { return text_; }

 private:
  std::string text_;
};

struct Line {
  size_t number = 0;
  absl::string_view secret;
  absl::string_view time;  // Empty if absent.
};

absl::Status LineError(const Line& line, absl::string_view what) {
  return ConfigurationError(absl::StrCat("line ", line.number, " of the ticket keys ", what));
}

absl::StatusOr<std::vector<Line>> SplitLines(absl::string_view text) {
  std::vector<Line> lines;
  size_t number = 0;
  for (absl::string_view row : absl::StrSplit(text, '\n')) {
    ++number;
    const std::vector<absl::string_view> words =
        absl::StrSplit(row, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    if (words.empty() || words.front().front() == '#') continue;
    Line line{number, words[0], words.size() > 1 ? words[1] : ""};
    if (words.size() > 2) return LineError(line, "has more than a key and a time");
    lines.push_back(line);
  }
  if (lines.empty()) return ConfigurationError("there are no ticket keys");
  if (lines.size() > kMaxTicketKeys) {
    return ConfigurationError(
        absl::StrCat("there are ", lines.size(), " ticket keys, over ", kMaxTicketKeys));
  }
  for (const Line& line : lines) {
    if (line.time.empty() != lines.front().time.empty()) {
      return LineError(line, "and another one differ in whether they have a time");
    }
  }
  return lines;
}

// Returns a time for a key without one, by its position. The last key never becomes active by
// itself.
absl::Time TimeByPlace(size_t place, size_t count) {
  if (count > 1 && place == count - 1) return absl::InfiniteFuture();
  return absl::UnixEpoch() + absl::Seconds(static_cast<int64_t>(place));
}

}  // namespace

TicketKey TicketKey::Random(absl::Time seal_from) {
  std::array<uint8_t, kRandomBytes> secret;
  RAND_bytes(secret.data(), secret.size());
  TicketKey key(ByteView(secret.data(), secret.size()), seal_from);
  OPENSSL_cleanse(secret.data(), secret.size());
  return key;
}

absl::StatusOr<TicketKey> TicketKey::Create(ByteView secret, absl::Time seal_from) {
  if (secret.size() < kMinBytes || secret.size() > kMaxBytes) {
    return ConfigurationError(absl::StrCat("a ticket key has ", secret.size(), " bytes, not from ",
                                           kMinBytes, " to ", kMaxBytes));
  }
  if (absl::c_all_of(secret, [&](uint8_t byte) { return byte == secret[0]; })) {
    return ConfigurationError("a ticket key repeats one byte, so it is no secret");
  }
  return TicketKey(secret, seal_from);
}

TicketKey::TicketKey(ByteView secret, absl::Time seal_from)
    : bytes_(secret.size()), seal_from_(seal_from) {
  absl::c_copy(secret, secret_.begin());
}

TicketKey::~TicketKey() { OPENSSL_cleanse(secret_.data(), secret_.size()); }

absl::StatusOr<std::vector<TicketKey>> ParseTicketKeys(absl::string_view text) {
  absl::StatusOr<std::vector<Line>> lines = SplitLines(text);
  if (!lines.ok()) return lines.status();
  std::vector<TicketKey> keys;
  keys.reserve(lines->size());
  for (size_t i = 0; i < lines->size(); ++i) {
    const Line& line = (*lines)[i];
    absl::Time seal_from = TimeByPlace(i, lines->size());
    if (!line.time.empty() &&
        !absl::ParseTime(absl::RFC3339_full, line.time, &seal_from, nullptr)) {
      return LineError(line, "has a time that isn't like 2026-11-23T08:00:00Z");
    }
    SecretText secret;
    if (!absl::Base64Unescape(line.secret, &secret.get())) {
      return LineError(line, "has a key that isn't base64");
    }
    absl::StatusOr<TicketKey> key = TicketKey::Create(AsBytes(secret.get()), seal_from);
    if (!key.ok()) {
      return LineError(line, absl::StrCat("is unusable: ", GetError(key.status())->detail));
    }
    for (size_t before = 0; before < i; ++before) {
      if (keys[before].secret() != key->secret()) continue;
      return LineError(line,
                       absl::StrCat("has the key of line ", (*lines)[before].number, " again"));
    }
    keys.push_back(*std::move(key));
  }
  return keys;
}

std::string FormatTicketKeys(const std::vector<TicketKey>& keys) {
  std::string text;
  for (const TicketKey& key : keys) {
    absl::StrAppend(&text, absl::Base64Escape(AsText(key.secret())), " ",
                    absl::FormatTime(absl::RFC3339_full, key.seal_from(), absl::UTCTimeZone()),
                    "\n");
  }
  return text;
}

std::vector<TicketKey> RotateTicketKeys(std::vector<TicketKey> keys, absl::Time now,
                                        absl::Duration every) {
  absl::c_stable_sort(
      keys, [](const TicketKey& a, const TicketKey& b) { return a.seal_from() < b.seal_from(); });
  if (keys.empty() || keys.back().seal_from() + every <= now) {
    keys.push_back(TicketKey::Random(now));
  }
  if (keys.back().seal_from() <= now) {
    keys.push_back(TicketKey::Random(keys.back().seal_from() + every));
  }
  size_t gone = 0;
  while (gone + 1 < keys.size() && keys[gone + 1].seal_from() + every <= now) ++gone;
  keys.erase(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(gone));
  return keys;
}

}  // namespace trestle
