#include "examples/ech_tool/key_file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "examples/support/program.h"
#include "trestle/linux/file.h"
#include "trestle/linux/private_file.h"

namespace trestle::examples {
namespace {

// All readers ignore text between PEM blocks (RFC 7468 2).
constexpr absl::string_view kMadePrefix = "ECH key, made ";

// Returns the date before each ECHCONFIG block; empty if there is none.
std::vector<std::string> DatesOf(absl::string_view pem) {
  std::vector<std::string> dates;
  std::string date;
  for (absl::string_view line : absl::StrSplit(pem, '\n')) {
    if (absl::ConsumePrefix(&line, kMadePrefix)) {
      absl::Time time;
      const bool read =
          absl::ParseTime(absl::RFC3339_full, absl::StripAsciiWhitespace(line), &time, nullptr);
      if (read) date = absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
    } else if (absl::StrContains(line, "-----BEGIN ECHCONFIG")) {
      dates.push_back(std::exchange(date, ""));
    }
  }
  return dates;
}

absl::Status WriteAll(int fd, const std::string& path, absl::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      return absl::InvalidArgumentError(absl::StrCat("cannot write ", path, ": ", strerror(errno)));
    }
    text.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

std::string DescribeConfig(const EchConfigInfo& config) {
  return absl::StrCat(
      "    config id    ", config.config_id, "\n    public name  ", config.public_name,
      "\n    key          ", config.kem, ", ", absl::BytesToHexString(config.public_key),
      "\n    suites       ", absl::StrJoin(config.suites, "; "), "\n    padding      ",
      config.max_name_bytes == 0
          ? "no advice to clients"
          : absl::StrCat("hides the length of names up to ", config.max_name_bytes, " bytes"),
      "\n");
}

}  // namespace

absl::StatusOr<std::vector<FilePair>> ParsePairs(absl::string_view pem) {
  absl::StatusOr<std::vector<EchPairInfo>> pairs = DescribeEchPairs(pem);
  if (!pairs.ok()) return pairs.status();
  const std::vector<std::string> dates = DatesOf(pem);
  std::vector<FilePair> read;
  for (EchPairInfo& pair : *pairs) {
    const size_t index = read.size();
    read.push_back({std::move(pair), index < dates.size() ? dates[index] : ""});
  }
  return read;
}

absl::StatusOr<std::vector<FilePair>> ReadPairs(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  absl::StatusOr<std::vector<FilePair>> pairs = ParsePairs(*text);
  if (!pairs.ok()) return CannotUse(path, pairs.status());
  return pairs;
}

absl::Status WriteNewPair(const std::string& path, const EchPairOptions& options, absl::Time now) {
  const absl::StatusOr<std::string> pem = MakeEchPair(options);
  if (!pem.ok()) return pem.status();
  const absl::StatusOr<OwnedFd> file = CreatePrivateFile(path);
  if (!file.ok()) return file.status();
  const std::string text = absl::StrCat(
      kMadePrefix, absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", now, absl::UTCTimeZone()), "\n", *pem);
  absl::Status written = WriteAll(file->get(), path, text);
  if (!written.ok()) unlink(path.c_str());
  return written;
}

bool HasConfigId(absl::Span<const FilePair> pairs, uint8_t config_id) {
  return absl::c_any_of(pairs, [config_id](const FilePair& pair) {
    return absl::c_any_of(pair.info.configs, [config_id](const EchConfigInfo& config) {
      return config.config_id == config_id;
    });
  });
}

std::string DescribePairs(absl::Span<const FilePair> pairs) {
  std::string text;
  for (size_t i = 0; i < pairs.size(); ++i) {
    absl::StrAppend(&text, "pair ", i + 1,
                    i == 0 ? ", to publish" : ", for earlier or later configs", ", made ",
                    pairs[i].made.empty() ? "at a time that the file doesn't say" : pairs[i].made,
                    "\n");
    for (const EchConfigInfo& config : pairs[i].info.configs) text += DescribeConfig(config);
  }
  return text;
}

}  // namespace trestle::examples
