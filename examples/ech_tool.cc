// Makes and publishes keys for encrypted ClientHellos (RFC 9849): key files, HTTPS records, the
// steps of a rotation.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/flags/commandlineflag.h"
#include "absl/flags/flag.h"
#include "absl/flags/reflection.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "examples/ech_tool/https_record.h"
#include "examples/ech_tool/key_file.h"
#include "examples/ech_tool/rotation.h"
#include "examples/support/program.h"
#include "trestle/linux/file.h"
#include "trestle/wire/server_name.h"

ABSL_FLAG(std::string, file, "", "file with the pairs of key and config, in PEM (RFC 9934)");
ABSL_FLAG(std::string, public_name, "",
          "name that anyone may see: the server name of the outer hellos, and of the certificate "
          "that tells clients a new config");
ABSL_FLAG(int, config_id, -1,
          "0 to 255, different for all keys that a server has at a time; -1 draws one");
ABSL_FLAG(std::string, beside, "",
          "key file that the new pair will be used with: its config ids are avoided");
ABSL_FLAG(int, max_name_bytes, 64,
          "clients pad shorter hidden names to this length; 0 gives no advice");
ABSL_FLAG(std::string, name, "", "hidden name to publish the record for");
ABSL_FLAG(int, ttl, 3600, "seconds for which resolvers may cache the record");
ABSL_FLAG(int, port, 443, "port of the site; another one changes the owner of the record");
ABSL_FLAG(std::string, alpn, "h2,http/1.1",
          "protocols that the site has, which clients take from the record");
ABSL_FLAG(
    std::string, record, "",
    "published record, as in a zone file or as dig prints it; - reads it from standard input");
ABSL_FLAG(std::string, start, "", "time of the first step, as 2026-11-26T14:00:00Z; default: now");
ABSL_FLAG(absl::Duration, deploy, absl::Minutes(10),
          "time until all servers have loaded a changed file");

namespace trestle::examples {
namespace {

constexpr int kExitMismatch = 2;

constexpr char kUsage[] =
    "Makes keys for encrypted ClientHellos, and says what to publish.\n\n"
    "  ech_tool make --public_name=NAME --file=FILE   makes a key, its config, and a file with "
    "both\n"
    "  ech_tool config_list --file=FILE               writes the ECHConfigList, in binary form\n"
    "  ech_tool record --file=FILE --name=NAME        prints the HTTPS record to publish\n"
    "  ech_tool list --file=FILE                      lists the pairs in a file\n"
    "  ech_tool plan --file=FILE                      prints the steps of a rotation, with times\n"
    "  ech_tool check --file=FILE --record=RECORD     compares a published record with a file\n\n"
    "Exit status: 0 done, or the record is right; 1 an error; 2 the record is wrong.";

struct Command {
  absl::string_view name;
  std::vector<absl::string_view> flags;
  absl::StatusOr<int> (*run)();
};

absl::StatusOr<std::string> FileFromFlag() {
  return RequiredFlag("file", absl::GetFlag(FLAGS_file));
}

absl::StatusOr<std::vector<FilePair>> PairsFromFlag() {
  const absl::StatusOr<std::string> path = FileFromFlag();
  if (!path.ok()) return path.status();
  return ReadPairs(*path);
}

absl::Status Print(absl::string_view text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (written && std::fflush(stdout) == 0) return absl::OkStatus();
  return absl::InvalidArgumentError("cannot write to standard output");
}

absl::StatusOr<int> PrintAndSucceed(absl::string_view text) {
  absl::Status printed = Print(text);
  if (!printed.ok()) return printed;
  return EXIT_SUCCESS;
}

absl::StatusOr<int> IntInRange(absl::string_view flag, int value, int min, int max) {
  if (value >= min && value <= max) return value;
  return FlagError(flag, absl::StrCat("is ", value, ", not ", min, " to ", max));
}

absl::StatusOr<uint8_t> ConfigIdFromFlags() {
  std::vector<FilePair> others;
  if (const std::string beside = absl::GetFlag(FLAGS_beside); !beside.empty()) {
    absl::StatusOr<std::vector<FilePair>> pairs = ReadPairs(beside);
    if (!pairs.ok()) return pairs.status();
    others = *std::move(pairs);
  }
  absl::StatusOr<int> id = IntInRange("config_id", absl::GetFlag(FLAGS_config_id), -1, 255);
  if (!id.ok()) return id.status();
  if (*id >= 0) {
    if (!HasConfigId(others, static_cast<uint8_t>(*id))) return static_cast<uint8_t>(*id);
    return FlagError("config_id", absl::StrCat("is ", *id, ", which a config of ",
                                               absl::GetFlag(FLAGS_beside), " has already"));
  }
  std::random_device random;
  uint8_t drawn = 0;
  do {
    drawn = static_cast<uint8_t>(random());
  } while (HasConfigId(others, drawn));
  return drawn;
}

absl::StatusOr<int> Make() {
  EchPairOptions options;
  absl::StatusOr<std::string> name = RequiredFlag("public_name", absl::GetFlag(FLAGS_public_name));
  if (!name.ok()) return name.status();
  options.public_name = *std::move(name);
  const absl::StatusOr<std::string> file = FileFromFlag();
  if (!file.ok()) return file.status();
  const auto length = IntInRange("max_name_bytes", absl::GetFlag(FLAGS_max_name_bytes), 0, 255);
  if (!length.ok()) return length.status();
  options.max_name_bytes = static_cast<uint8_t>(*length);
  const absl::StatusOr<uint8_t> id = ConfigIdFromFlags();
  if (!id.ok()) return id.status();
  options.config_id = *id;
  absl::Status written = WriteNewPair(*file, options, absl::Now());
  if (!written.ok()) return written;
  return EXIT_SUCCESS;
}

absl::StatusOr<int> PrintConfigList() {
  const absl::StatusOr<std::vector<FilePair>> pairs = PairsFromFlag();
  if (!pairs.ok()) return pairs.status();
  return PrintAndSucceed(pairs->front().info.config_list);
}

absl::StatusOr<uint32_t> TtlFromFlag() {
  // RFC 8767 4 caps TTLs at a week.
  const absl::StatusOr<int> ttl = IntInRange("ttl", absl::GetFlag(FLAGS_ttl), 1, 7 * 24 * 3600);
  if (!ttl.ok()) return ttl.status();
  return static_cast<uint32_t>(*ttl);
}

absl::StatusOr<HttpsRecord> RecordFromFlags() {
  HttpsRecord record;
  const absl::StatusOr<std::vector<FilePair>> pairs = PairsFromFlag();
  if (!pairs.ok()) return pairs.status();
  record.ech = pairs->front().info.config_list;
  const absl::StatusOr<std::string> name = RequiredFlag("name", absl::GetFlag(FLAGS_name));
  if (!name.ok()) return name.status();
  absl::StatusOr<std::string> normal = NormalizeServerName(*name);
  if (!normal.ok()) return FlagError("name", absl::StrCat("is wrong: ", Sentence(normal.status())));
  record.name = *std::move(normal);
  const absl::StatusOr<uint32_t> ttl = TtlFromFlag();
  if (!ttl.ok()) return ttl.status();
  record.ttl_seconds = *ttl;
  const absl::StatusOr<int> port = IntInRange("port", absl::GetFlag(FLAGS_port), 1, 65535);
  if (!port.ok()) return port.status();
  record.port = static_cast<uint16_t>(*port);
  absl::StatusOr<std::vector<std::string>> alpn = ParseAlpnList(absl::GetFlag(FLAGS_alpn));
  if (!alpn.ok()) return FlagError("alpn", absl::StrCat("is wrong: ", alpn.status().message()));
  record.alpn = *std::move(alpn);
  return record;
}

absl::StatusOr<int> PrintRecord() {
  const absl::StatusOr<HttpsRecord> record = RecordFromFlags();
  if (!record.ok()) return record.status();
  return PrintAndSucceed(absl::StrCat(PresentationForm(*record),
                                      "\n; for name servers that don't know HTTPS records:\n",
                                      GenericForm(*record), "\n"));
}

absl::StatusOr<int> List() {
  const absl::StatusOr<std::vector<FilePair>> pairs = PairsFromFlag();
  if (!pairs.ok()) return pairs.status();
  return PrintAndSucceed(DescribePairs(*pairs));
}

absl::StatusOr<int> Plan() {
  const absl::StatusOr<std::vector<FilePair>> pairs = PairsFromFlag();
  if (!pairs.ok()) return pairs.status();
  RotationOptions options;
  options.file = absl::GetFlag(FLAGS_file);
  options.start = absl::Now();
  const std::string start = absl::GetFlag(FLAGS_start);
  if (!start.empty() && !absl::ParseTime(absl::RFC3339_full, start, &options.start, nullptr)) {
    return FlagError(
        "start", absl::StrCat("has \"", absl::CHexEscape(start), "\"; write 2026-11-26T14:00:00Z"));
  }
  options.deploy = absl::GetFlag(FLAGS_deploy);
  if (options.deploy < absl::ZeroDuration() || options.deploy > absl::Hours(24 * 365)) {
    return FlagError("deploy", "is not between 0 and a year");
  }
  const absl::StatusOr<uint32_t> ttl = TtlFromFlag();
  if (!ttl.ok()) return ttl.status();
  options.ttl_seconds = *ttl;
  return PrintAndSucceed(PlanRotation(*pairs, options));
}

absl::StatusOr<std::string> RecordTextFromFlag() {
  absl::StatusOr<std::string> text = RequiredFlag("record", absl::GetFlag(FLAGS_record));
  if (!text.ok() || *text != "-") return text;
  constexpr size_t kMaxBytes = 1 << 20;
  std::string input(kMaxBytes, '\0');
  input.resize(std::fread(&input[0], 1, kMaxBytes, stdin));
  if (input.size() < kMaxBytes) return input;
  return FlagError("record", "- gets a megabyte or more from standard input");
}

absl::StatusOr<int> Check() {
  const absl::StatusOr<std::vector<FilePair>> pairs = PairsFromFlag();
  if (!pairs.ok()) return pairs.status();
  const absl::StatusOr<std::string> text = RecordTextFromFlag();
  if (!text.ok()) return text.status();
  const absl::StatusOr<std::vector<PublishedRecord>> records = ReadHttpsRecords(*text);
  if (!records.ok())
    return FlagError("record", absl::StrCat("is wrong: ", records.status().message()));
  bool good = true;
  for (const PublishedRecord& record : *records) {
    const RecordJudgement judgement = JudgeRecord(record, *pairs);
    good &= judgement.good;
    const std::string owner =
        record.owner.empty() ? "" : absl::StrCat(absl::CHexEscape(record.owner), ": ");
    absl::Status printed = Print(absl::StrCat(owner, judgement.sentence, "\n"));
    if (!printed.ok()) return printed;
  }
  return good ? EXIT_SUCCESS : kExitMismatch;
}

std::vector<Command> Commands() {
  return {{"make", {"file", "public_name", "config_id", "beside", "max_name_bytes"}, Make},
          {"config_list", {"file"}, PrintConfigList},
          {"record", {"file", "name", "ttl", "port", "alpn"}, PrintRecord},
          {"list", {"file"}, List},
          {"plan", {"file", "ttl", "start", "deploy"}, Plan},
          {"check", {"file", "record"}, Check}};
}

// A flag of another command would change nothing.
absl::Status CheckFlags(const Command& command) {
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    if (!absl::EndsWith(flag->Filename(), "ech_tool.cc") ||
        absl::c_linear_search(command.flags, name) ||
        flag->CurrentValue() == flag->DefaultValue()) {
      continue;
    }
    return FlagError(name, absl::StrCat("has no effect on ", command.name));
  }
  return absl::OkStatus();
}

absl::StatusOr<int> Run(absl::string_view name) {
  const std::vector<Command> commands = Commands();
  const auto command =
      absl::c_find_if(commands, [&](const Command& candidate) { return candidate.name == name; });
  if (command == commands.end()) {
    return absl::InvalidArgumentError(absl::StrCat(
        name.empty() ? "there is no command"
                     : absl::StrCat("there is no command \"", absl::CHexEscape(name), "\""),
        "; write one of ",
        absl::StrJoin(commands, ", ", [](std::string* out, const Command& known) {
          out->append(known.name.data(), known.name.size());
        })));
  }
  if (absl::Status flags = CheckFlags(*command); !flags.ok()) return flags;
  return command->run();
}

}  // namespace
}  // namespace trestle::examples

int main(int argc, char** argv) {
  using namespace trestle::examples;
  return OrExit(Run(ParseCommand(argc, argv, kUsage)));
}
