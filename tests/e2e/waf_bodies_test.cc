// Compares the web application firewall with the parsers of PHP, Django, Flask, Rack and Node.js.
// The firewall sees or rejects everything that one of them reads in a body.

#include <bitset>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "integrations/http1/http_message.h"
#include "integrations/modsecurity/core_rule_set.h"
#include "integrations/modsecurity/modsecurity_guard.h"
#include "tests/e2e/body_corpus.h"
#include "tests/e2e/process.h"

namespace trestle::e2e {
namespace {

constexpr int kBodies = 6000;
constexpr uint32_t kSeed = 13;

using Markers = std::bitset<std::size(kMarkers)>;

Markers MarkersIn(absl::string_view text) {
  Markers found;
  for (size_t i = 0; i < found.size(); ++i) found[i] = absl::StrContains(text, kMarkers[i]);
  return found;
}

// Names of JSON arrays and objects that the firewall need not see: they may have no value, and have
// no syntax characters.
Markers PlainNames(const CorpusBody& one) {
  Markers plain;
  for (size_t i = 0; i < plain.size(); ++i) {
    for (const char* after : {": {", ": [", ":{", ":["}) {
      plain[i] =
          plain[i] || absl::StrContains(one.body, absl::StrCat("\"", kMarkers[i], "\"", after));
    }
  }
  return absl::StrContainsIgnoreCase(one.content_type, "json") ? plain : Markers();
}

/// The firewall's result for one body.
struct Judged {
  bool refused = false;
  Markers seen;
};

class Firewall final : public ModSecurityListener {
 public:
  Firewall() {
    std::string rules = CoreRuleSet({});
    for (size_t i = 0; i < std::size(kMarkers); ++i) {
      absl::StrAppend(&rules, "SecRule ARGS|ARGS_NAMES|FILES|FILES_NAMES \"@contains ", kMarkers[i],
                      "\" \"id:", 9990000 + i, ",phase:2,t:none,pass,log,msg:'seen ", kMarkers[i],
                      "'\"\n");
    }
    auto loaded = ModSecurityRules::Load(rules, this);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    if (loaded.ok()) rules_ = *std::move(loaded);
  }

  bool loaded() const { return rules_ != nullptr; }

  Judged Judge(const CorpusBody& one) {
    judged_ = {};
    std::string head =
        "POST /form HTTP/1.1\r\nHost: app.test\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n";
    if (!one.content_type.empty())
      absl::StrAppend(&head, "Content-Type: ", one.content_type, "\r\n");
    absl::StrAppend(&head, "Content-Length: ", one.body.size(), "\r\n\r\n");
    HttpRefusal refusal;
    const auto read = ReadRequestHead(head, Http1Limits(), refusal);
    const std::unique_ptr<HttpGuard> guard = rules_->NewGuard(ConnectionReport());
    judged_.refused = !read.has_value() || guard->OnHead(*read).has_value() ||
                      guard->OnBody(one.body).has_value() || guard->OnEnd().has_value();
    return judged_;
  }

  void OnMatch(absl::string_view message) override {
    const size_t at = message.find("seen mk");
    if (at != absl::string_view::npos) judged_.seen |= MarkersIn(message.substr(at, 9));
  }

 private:
  std::shared_ptr<const ModSecurityRules> rules_;
  Judged judged_;
};

struct Parser {
  const char* name;
  std::vector<std::string> command;  // The corpus is its last argument.
};

std::vector<Parser> Parsers() {
  const std::string folder = "tests/e2e/body_parsers/";
  const std::string node = folder + "node_parsers.js";
  const std::string python = folder + "python_parsers.py";
  return {{"PHP", {FindProgram("php"), folder + "php_parser.php"}},
          {"Django", {"/usr/bin/python3", python, "django"}},
          {"Flask", {"/usr/bin/python3", python, "flask"}},
          {"Rack", {FindProgram("ruby"), folder + "rack_parser.rb"}},
          {"busboy", {FindProgram("node"), node, "busboy"}},
          {"formidable", {FindProgram("node"), node, "formidable"}},
          {"multiparty", {FindProgram("node"), node, "multiparty"}}};
}

/// Returns the markers that a parser read in each body.
std::vector<Markers> ReadAs(const Parser& parser, const std::string& corpus_file) {
  std::vector<std::string> command = parser.command;
  command.push_back(corpus_file);
  const CommandResult result = RunCommand(command, absl::Minutes(2));
  EXPECT_EQ(result.exit_status, 0) << parser.name << ": " << result.errors.substr(0, 1000);
  std::vector<Markers> read;
  for (const absl::string_view line : absl::StrSplit(result.output, '\n', absl::SkipEmpty())) {
    std::string text;
    EXPECT_TRUE(line == "-" || absl::HexStringToBytes(line, &text)) << parser.name << ": " << line;
    read.push_back(MarkersIn(text));
  }
  return read;
}

TEST(WafBodiesTest, EverythingThatAParserReadsIsSeenOrRejected) {
  const std::vector<CorpusBody> corpus = BodyCorpus(kSeed, kBodies);
  const std::string file = absl::StrCat(::testing::TempDir(), "/bodies");
  std::ofstream(file, std::ios::binary) << Encode(corpus);

  Firewall firewall;
  ASSERT_TRUE(firewall.loaded());
  std::vector<Judged> judged;
  int passed = 0;
  for (const CorpusBody& one : corpus) {
    judged.push_back(firewall.Judge(one));
    passed += judged.back().refused ? 0 : 1;
  }
  // A firewall that rejected everything would also miss nothing.
  EXPECT_GT(passed, kBodies / 10);

  for (const Parser& parser : Parsers()) {
    const std::vector<Markers> read = ReadAs(parser, file);
    ASSERT_EQ(read.size(), corpus.size()) << parser.name;
    int read_bodies = 0;
    int missed = 0;
    for (size_t i = 0; i < corpus.size(); ++i) {
      read_bodies += read[i].any() ? 1 : 0;
      if (judged[i].refused || (read[i] & ~judged[i].seen & ~PlainNames(corpus[i])).none())
        continue;
      if (++missed > 5) continue;
      ADD_FAILURE() << parser.name << " reads " << read[i] << ", the firewall saw "
                    << judged[i].seen << " of body " << i
                    << "\nContent-Type: " << absl::CHexEscape(corpus[i].content_type) << "\n"
                    << absl::CHexEscape(corpus[i].body.substr(0, 1500));
    }
    EXPECT_EQ(missed, 0) << parser.name;
    EXPECT_GT(read_bodies, kBodies / 20) << parser.name << " reads too few bodies";
  }
}

}  // namespace
}  // namespace trestle::e2e
