#include "examples/ech_tool/rotation.h"

#include <algorithm>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "trestle/tls/ech_pairs.h"

namespace trestle::examples {
namespace {

std::string IdsOf(absl::Span<const EchConfigInfo> configs) {
  return absl::StrJoin(configs, ", ", [](std::string* out, const EchConfigInfo& config) {
    absl::StrAppend(out, static_cast<int>(config.config_id));
  });
}

// Returns the index of the pair that has this config; `pairs.size()` if there is none.
size_t PairOf(const EchConfigInfo& config, absl::Span<const FilePair> pairs) {
  const auto pair = absl::c_find_if(pairs, [&](const FilePair& candidate) {
    return absl::c_any_of(candidate.info.configs,
                          [&](const EchConfigInfo& own) { return own.bytes == config.bytes; });
  });
  return static_cast<size_t>(pair - pairs.begin());
}

std::string At(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M UTC", time, absl::UTCTimeZone());
}

std::string Commands(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) absl::StrAppend(&text, "     ", line, "\n");
  return text;
}

std::string RecordCommand(const RotationOptions& options) {
  return absl::StrCat("ech_tool record --file=", options.file,
                      " --name=NAME --ttl=", options.ttl_seconds);
}

std::string PlanFirstSteps(const FilePair& pair, const RotationOptions& options) {
  const std::string& file = options.file;
  const std::string swap = absl::StrCat("ech.tmp && mv ech.tmp ", file);
  return absl::StrCat(
      "1. ", At(options.start), ": make the next pair.\n",
      Commands({absl::StrCat("ech_tool make --public_name=", pair.info.configs.front().public_name,
                             " --beside=", file, " --file=new.pem")}),
      "2. Then, on all servers: add it in second place. Clients still use the old one.\n",
      Commands(
          {absl::StrCat("cp ", file, " old.pem"), absl::StrCat("cat old.pem new.pem > ", swap)}),
      "3. ", At(options.start + options.deploy),
      ", once all servers have loaded the file: put the new pair first, on all servers.\n",
      Commands({absl::StrCat("cat new.pem old.pem > ", swap)}));
}

}  // namespace

RecordJudgement JudgeRecord(const PublishedRecord& record, absl::Span<const FilePair> pairs) {
  const std::string publish =
      absl::StrCat("publish config id ", IdsOf(pairs.front().info.configs), " (ech_tool record)");
  if (record.priority == 0) {
    return {false,
            "the record is an alias, which has no parameters: check the record of its target"};
  }
  if (record.ech.empty())
    return {false, absl::StrCat("the record has no ech parameter: ", publish)};
  if (record.ech == pairs.front().info.config_list) {
    return {true, absl::StrCat("the record publishes the first pair, config id ",
                               IdsOf(pairs.front().info.configs))};
  }
  const absl::StatusOr<std::vector<EchConfigInfo>> configs = DescribeEchConfigs(record.ech);
  if (!configs.ok()) {
    return {false, absl::StrCat("clients can't use the record's ech parameter: ", publish)};
  }
  const std::string ids = IdsOf(*configs);
  const bool all_open = absl::c_all_of(
      *configs, [&](const EchConfigInfo& config) { return PairOf(config, pairs) < pairs.size(); });
  if (!all_open) {
    return {false, absl::StrCat("the record publishes config id ", ids,
                                ", and the file has no key for it, so its clients are rejected at "
                                "first and get the right config: ",
                                publish)};
  }
  return {false, absl::StrCat("the record publishes config id ", ids,
                              ", whose key is in the file but isn't the first: ", publish,
                              ", before the older pair is removed")};
}

std::string PlanRotation(absl::Span<const FilePair> pairs, const RotationOptions& options) {
  const bool begins = pairs.size() == 1;
  const absl::Time publish = begins ? options.start + 2 * options.deploy : options.start;
  const absl::Time remove = publish + absl::Seconds(options.ttl_seconds);
  int step = begins ? 4 : 1;
  std::string text =
      begins ? PlanFirstSteps(pairs.front(), options)
             : absl::StrCat("The file has ", pairs.size(),
                            " pairs: a rotation has begun. These steps end it, if all servers have "
                            "the pair with config id ",
                            IdsOf(pairs.front().info.configs), " in first place.\n");
  absl::StrAppend(&text, step++, ". ", At(publish),
                  begins ? ", once all servers have loaded that" : "",
                  ": publish the record of the first pair.\n", Commands({RecordCommand(options)}));
  const std::string keep =
      begins ? absl::StrCat("cp new.pem ech.tmp && mv ech.tmp ", options.file)
             : absl::StrCat("# leave in ", options.file, " only the pair with config id ",
                            IdsOf(pairs.front().info.configs));
  absl::StrAppend(&text, step, ". ", At(remove), ", ", options.ttl_seconds,
                  " seconds (the TTL) after the record has changed on all name servers: remove the "
                  "old pair.\n",
                  Commands({keep}),
                  "Some caches keep records for longer than the TTL. Their clients are rejected at "
                  "first, and\ntold the new config, if the public name leads to a server with the "
                  "same key file.\n");
  return text;
}

}  // namespace trestle::examples
