// ech_tool in scripts and in interactive use.

#include <sys/stat.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/proxy_test.h"
#include "tests/e2e/shell_blocks.h"
#include "trestle/linux/file.h"
#include "trestle/tls/ech_keys.h"

namespace trestle::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class EchToolTest : public ProxyTest {
 protected:
  static CommandResult Run(std::vector<std::string> arguments, absl::string_view input = {}) {
    arguments.insert(arguments.begin(), ExampleProgram("ech_tool"));
    return RunCommand(arguments, kPatience, input);
  }

  static std::string Done(const std::vector<std::string>& arguments, absl::string_view input = {}) {
    const CommandResult result = Run(arguments, input);
    EXPECT_EQ(result.exit_status, 0) << result.errors << result.output;
    EXPECT_EQ(result.errors, "");
    return result.output;
  }

  static void ExpectError(const std::vector<std::string>& arguments, const std::string& text) {
    const CommandResult result = Run(arguments);
    EXPECT_EQ(result.exit_status, 1) << text;
    EXPECT_THAT(result.errors, HasSubstr(text));
    EXPECT_EQ(result.output, "");
  }

  std::string File(const std::string& name) const { return absl::StrCat("--file=", PathOf(name)); }

  void Make(const std::string& name, const std::string& more = "--config_id=-1") const {
    EXPECT_EQ(Done({"make", "--public_name=public.example", File(name), more}), "");
  }
};

TEST_F(EchToolTest, APairIsWrittenToAPrivateFileForServers) {
  Make("ech.pem");
  const std::string pem = *ReadFile(PathOf("ech.pem"));
  struct stat info = {};
  ASSERT_EQ(stat(PathOf("ech.pem").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const auto keys = EchKeys::FromPem(pem);
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(absl::Base64Escape(Done({"config_list", File("ech.pem")})),
            (*keys)->PublishedConfigs());
}

TEST_F(EchToolTest, FlagsMayComeFirst) {
  EXPECT_EQ(Done({"--public_name=public.example", File("ech.pem"), "make"}), "");
}

TEST_F(EchToolTest, NoFileIsOverwritten) {
  WriteFile("ech.pem", "old");
  ExpectError({"make", "--public_name=public.example", File("ech.pem")}, "it exists already");
  EXPECT_EQ(*ReadFile(PathOf("ech.pem")), "old");
}

TEST_F(EchToolTest, ConfigIdsOfTheOtherFileAreAvoided) {
  Make("one.pem", "--config_id=200");
  ExpectError({"make", "--public_name=a.example", "--config_id=200", File("two.pem"),
               absl::StrCat("--beside=", PathOf("one.pem"))},
              "which a config of");
  Make("two.pem", absl::StrCat("--beside=", PathOf("one.pem")));
  const std::string both = absl::StrCat(*ReadFile(PathOf("one.pem")), *ReadFile(PathOf("two.pem")));
  EXPECT_TRUE(EchKeys::FromPem(both).ok());
}

TEST_F(EchToolTest, TheListHasTheDateOfEachPair) {
  Make("one.pem", "--config_id=1");
  Make("two.pem", "--config_id=2");
  WriteFile("ech.pem", absl::StrCat(*ReadFile(PathOf("two.pem")), *ReadFile(PathOf("one.pem"))));
  const std::string list = Done({"list", File("ech.pem")});
  EXPECT_THAT(list, HasSubstr("pair 1, to publish, made 20"));
  EXPECT_THAT(list, HasSubstr("pair 2, for earlier or later configs, made 20"));
  EXPECT_LT(list.find("config id    2"), list.find("config id    1"));
}

TEST_F(EchToolTest, ThePrintedRecordMatchesUntilTheKeysChange) {
  Make("ech.pem");
  Make("other.pem");
  const std::string record =
      Done({"record", File("ech.pem"), "--name=Hidden.Example", "--ttl=300"});
  EXPECT_THAT(record, HasSubstr("hidden.example. 300 IN HTTPS 1 . alpn=\"h2,http/1.1\" ech=\""));
  EXPECT_THAT(record, HasSubstr("\nhidden.example. 300 IN TYPE65 \\# "));
  EXPECT_THAT(Done({"check", File("ech.pem"), absl::StrCat("--record=", record)}),
              HasSubstr("hidden.example.: the record publishes the first pair"));
  EXPECT_THAT(Done({"check", File("ech.pem"), "--record=-"}, record), HasSubstr("the first pair"));
  const CommandResult wrong = Run({"check", File("other.pem"), absl::StrCat("--record=", record)});
  EXPECT_EQ(wrong.exit_status, 2);
  EXPECT_THAT(wrong.output, HasSubstr("the file has no key for it"));
}

// Runs the commands of the plan, and checks the file's keys at each step.
TEST_F(EchToolTest, ThePlanWorks) {
  Make("ech.pem", "--config_id=1");
  const std::string plan = Done({"plan", File("ech.pem"), "--start=2026-11-26T14:00:00Z"});
  std::vector<std::string> published;
  for (const absl::string_view line : absl::StrSplit(plan, '\n')) {
    if (line.substr(0, 5) != "     ") continue;
    const std::string command(line.substr(5));
    const CommandResult result =
        RunCommand({"/bin/bash", "-euc",
                    absl::StrCat("PATH=$PWD/examples:$PATH; cd ", PathOf("."), "\n", command)},
                   kPatience);
    EXPECT_EQ(result.exit_status, 0) << command << result.errors;
    published.push_back((*EchKeys::FromPem(*ReadFile(PathOf("ech.pem"))))->PublishedConfigs());
  }
  EXPECT_EQ(std::set<std::string>(published.begin(), published.end()).size(), 2u);
  EXPECT_THAT(Done({"list", File("ech.pem")}), Not(HasSubstr("pair 2")));
  EXPECT_THAT(*ReadFile(PathOf("ech.pem")), HasSubstr(*ReadFile(PathOf("new.pem"))));
}

TEST_F(EchToolTest, TheShellLinesOfTheDocumentWork) {
  const std::vector<std::string> blocks = ShellBlocks("docs/ech.md");
  ASSERT_EQ(blocks.size(), 4u);
  const auto run = [&](const std::string& lines) {
    const CommandResult result =
        RunCommand({"/bin/bash", "-euc",
                    absl::StrCat("PATH=$PWD/examples:$PATH; cd ", PathOf("."), "\n", lines)},
                   kPatience);
    EXPECT_EQ(result.exit_status, 0) << lines << result.errors;
    return result.output;
  };
  EXPECT_THAT(run(blocks[0]), HasSubstr("public name  public.example"));
  run(blocks[2]);
  EXPECT_THAT(run(blocks[3]), HasSubstr("the record publishes the first pair"));
  WriteCertificate("public", LeafFor("public.example"));
  const std::string router = absl::StrReplaceAll(
      blocks[1], {{"one_port --listen=0.0.0.0:443", "exec one_port --listen=127.0.0.1:0"},
                  {"192.0.2.10:443", RefusingPort().address()}});
  const auto proxy =
      StartProgram({"/bin/bash", "-euc",
                    absl::StrCat("PATH=$PWD/examples:$PATH; cd ", PathOf("."), "\n", router)});
  EXPECT_THAT(proxy->log(), HasSubstr("ech="));
}

TEST_F(EchToolTest, ErrorsAreExplained) {
  Make("ech.pem");
  WriteFile("empty.pem", "");
  ExpectError({}, "there is no command; write one of make, config_list, record, list, plan, check");
  ExpectError({"mkae"}, "there is no command \"mkae\"");
  ExpectError({"list", "again"}, "\"again\" is no flag");
  ExpectError({"list"}, "--file is required");
  ExpectError({"list", File("missing.pem")}, "No such file");
  ExpectError({"list", File("empty.pem")}, "empty.pem: no PEM blocks");
  ExpectError({"list", File("ech.pem"), "--ttl=1"}, "--ttl has no effect on list");
  ExpectError({"make", File("new.pem")}, "--public_name is required");
  ExpectError({"make", "--public_name=a.example"}, "--file is required");
  ExpectError({"make", "--public_name=192.0.2.1", File("new.pem")}, "the public name: ");
  ExpectError({"make", "--public_name=a.example", "--config_id=256", File("new.pem")},
              "--config_id is 256, not -1 to 255");
  ExpectError({"make", "--public_name=a.example", "--max_name_bytes=256", File("new.pem")},
              "--max_name_bytes is 256, not 0 to 255");
  ExpectError({"make", "--public_name=a.example", File("new.pem"), "--beside=/missing"},
              "No such file");
  ExpectError({"record", File("ech.pem")}, "--name is required");
  ExpectError({"record", File("ech.pem"), "--name=a b"}, "--name is wrong");
  ExpectError({"record", File("ech.pem"), "--name=a.example", "--ttl=0"}, "--ttl is 0, not 1 to");
  ExpectError({"record", File("ech.pem"), "--name=a.example", "--port=0"}, "--port is 0, not 1 to");
  ExpectError({"record", File("ech.pem"), "--name=a.example", "--alpn=,"}, "--alpn is wrong");
  ExpectError({"plan", File("ech.pem"), "--start=soon"}, "--start has \"soon\"");
  ExpectError({"plan", File("ech.pem"), "--deploy=-1s"}, "--deploy is not between 0 and a year");
  ExpectError({"check", File("ech.pem")}, "--record is required");
  ExpectError({"check", File("ech.pem"), "--record=x"}, "--record is wrong: there is no HTTPS");
  EXPECT_FALSE(ReadFile(PathOf("new.pem")).ok()) << "a failed make leaves no file";
}

}  // namespace
}  // namespace trestle::e2e
