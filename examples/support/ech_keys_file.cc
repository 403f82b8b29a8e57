#include "examples/support/ech_keys_file.h"

#include <set>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/flags/flag.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "examples/support/log.h"
#include "examples/support/program.h"
#include "trestle/linux/file.h"

ABSL_FLAG(std::string, ech_keys_file, "",
          "file with keys for encrypted ClientHellos: PRIVATE KEY and ECHCONFIG blocks (RFC "
          "9934), first the pair of the published config. ech_tool makes them. A router opens "
          "hellos, and routes by the hidden name. Default: ECH is off");
ABSL_FLAG(double, max_ech_opens_per_second, trestle::EchBudget().per_second,
          "maximum rate of encrypted ClientHellos that a router opens; those above it are routed "
          "by their outer name; 0: no limit");
ABSL_FLAG(double, max_ech_opens_per_second_per_client, trestle::EchBudget().per_second_per_client,
          "the same per client: an IPv4 address, or 64 bits of an IPv6 address");

namespace trestle::examples {

std::string EchKeysPath() { return absl::GetFlag(FLAGS_ech_keys_file); }

absl::StatusOr<std::shared_ptr<EchKeyOpener>> EchOpenerFromFlags(
    std::shared_ptr<const EchKeys> keys) {
  EchBudget budget;
  budget.per_second = absl::GetFlag(FLAGS_max_ech_opens_per_second);
  budget.per_second_per_client = absl::GetFlag(FLAGS_max_ech_opens_per_second_per_client);
  absl::StatusOr<std::shared_ptr<EchKeyOpener>> opener =
      EchKeyOpener::Create(std::move(keys), budget);
  if (opener.ok()) return opener;
  return FlagError("max_ech_opens_per_second",
                   absl::StrCat("or …_per_client is wrong: ", Sentence(opener.status())));
}

void EchConfigsLog::Log(const EchKeys& keys) {
  std::string configs = keys.PublishedConfigs();
  if (configs == logged_) return;
  logged_ = std::move(configs);
  LogLine(absl::StrCat("ech=", logged_));
}

void WarnOfPublicNames(const EchKeys& keys,
                       absl::FunctionRef<bool(const std::string& name)> has_route) {
  std::set<std::string> names;
  for (const EchKeys::Config& config : keys.Configs()) names.insert(config.public_name);
  for (const std::string& name : names) {
    if (has_route(name)) continue;
    LogWarning(absl::StrCat("no route for \"", name,
                            "\", the public name of an ECHConfig: clients with an outdated config "
                            "are rejected and do not get the new one"));
  }
}

bool IsPublicName(const EchKeys& keys, absl::string_view name) {
  return absl::c_any_of(
      keys.Configs(), [name](const EchKeys::Config& config) { return config.public_name == name; });
}

std::string DescribeEchKeys(const EchKeys& keys) {
  return absl::StrCat(
      "ECH config ids ",
      absl::StrJoin(keys.Configs(), ", ", [](std::string* out, const EchKeys::Config& config) {
        absl::StrAppend(out, config.config_id);
      }));
}

absl::StatusOr<std::unique_ptr<EchKeysFile>> EchKeysFile::FromFlag() {
  const std::string path = EchKeysPath();
  if (path.empty()) return nullptr;
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  absl::StatusOr<std::shared_ptr<EchKeys>> keys = EchKeys::FromPem(*text);
  if (!keys.ok()) return CannotUse(path, keys.status());
  auto file = absl::WrapUnique(new EchKeysFile(*std::move(keys)));
  file->log_.Log(*file->keys_);
  return file;
}

EchKeysFile::EchKeysFile(std::shared_ptr<EchKeys> keys)
    : keys_(std::move(keys)), reload_([this] {
        ReloadTargets targets;
        targets.ech_keys = keys_;
        return targets;
      }()) {}

absl::Status EchKeysFile::Prepare() {
  absl::StatusOr<std::string> text = ReadFile(EchKeysPath());
  if (!text.ok()) return text.status();
  ReloadSources sources;
  sources.ech_keys = ReloadText{EchKeysPath(), *std::move(text)};
  absl::StatusOr<PreparedReload> prepared = reload_.Prepare(std::move(sources), absl::Now());
  if (!prepared.ok()) return prepared.status();
  prepared_ = std::make_unique<PreparedReload>(*std::move(prepared));
  return absl::OkStatus();
}

void EchKeysFile::Commit() {
  reload_.Commit(std::move(*prepared_));
  prepared_.reset();
  log_.Log(*keys_);
}

}  // namespace trestle::examples
