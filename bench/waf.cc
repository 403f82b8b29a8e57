// The time that a loop's thread needs to inspect a request with the Core Rule Set. Compares the
// most expensive bodies and heads with an ordinary request, in turns.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "bench/support/bench_main.h"
#include "benchmark/benchmark.h"
#include "integrations/http1/http_message.h"
#include "integrations/modsecurity/core_rule_set.h"
#include "integrations/modsecurity/modsecurity_guard.h"

namespace trestle::bench {
namespace {

constexpr char kHowToRead[] =
    "kind/UNIT: a request with as much of UNIT as the default limits let pass or nearly so.\n"
    "  ms / ms_ordinary  medians of processor time: judging it / judging a small form, in turns\n"
    "  ratio             the one beside the other\n"
    "  passes            1 where the rules let it pass, 0 where they or a limit refuse it\n"
    "At the end: the worst one that passes, and the worst one of all.";

constexpr size_t kBodyBytes = 128 * 1024;
constexpr char kFormType[] = "application/x-www-form-urlencoded";
constexpr char kMultipartType[] = "multipart/form-data; boundary=bnd";

struct Request {
  std::string name;
  std::string head_fields;
  std::string target = "/form";
  std::string body;
};

std::string Times(size_t bytes, absl::string_view unit) {
  std::string text;
  while (text.size() + unit.size() <= bytes) text.append(unit.data(), unit.size());
  return text;
}

Request Body(std::string name, absl::string_view type, std::string body) {
  std::string fields =
      absl::StrCat("Content-Type: ", type, "\r\nContent-Length: ", body.size(), "\r\n");
  return {std::move(name), std::move(fields), "/form", std::move(body)};
}

// `count` values of `bytes` each.
Request Form(const std::string& name, absl::string_view unit, size_t count, size_t bytes) {
  std::string body;
  for (size_t i = 0; i < count; ++i)
    absl::StrAppend(&body, i > 0 ? "&" : "", "a", i, "=", Times(bytes, unit));
  return Body(name, kFormType, std::move(body));
}

std::string Part(int number, absl::string_view more, absl::string_view value) {
  return absl::StrCat("--bnd\r\nContent-Disposition: form-data; name=\"a", number, "\"", more,
                      "\r\n\r\n", value, "\r\n");
}

std::string Parts(int count, absl::string_view more, absl::string_view value) {
  std::string body;
  for (int i = 0; i < count; ++i) absl::StrAppend(&body, Part(i, more, value));
  return absl::StrCat(body, "--bnd--\r\n");
}

std::vector<Request> Forms() {
  std::vector<Request> all;
  for (const absl::string_view unit :
       {"a",   "+",    "'",          "%22",    "(",  "%3C",    "%3C'", "'%3C",
        "!a",  "x%3D", "|",          "-",      "/",  "%26%23", "%0A",  "(+",
        "if+", "%3D+", "javascript", "union+", "1,", "%2B",    "`",    "{"}) {
    const size_t decoded = unit[0] == '%' ? unit.size() - 2 : unit.size();
    const size_t bytes = 7900 / decoded * unit.size();
    all.push_back(Form(absl::StrCat("form/", unit), unit, kBodyBytes / (bytes + 8), bytes));
  }
  for (const absl::string_view unit : {"%3C", "%26lt", "%3C'", "'%3C", "%3C+"}) {
    all.push_back(Form(absl::StrCat("256_of/", unit), unit, 50, 256 * unit.size()));
  }
  all.push_back(Form("arguments/1000", "a", 1000, 120));
  return all;
}

std::vector<Request> OtherBodies() {
  std::string items = "1";
  for (int i = 1; i < 990; ++i) absl::StrAppend(&items, ",1");
  std::string keys;
  for (int i = 0; i < 60; ++i) absl::StrAppend(&keys, "{\"", Times(100, "k"), "\":");
  return {
      Body("json/flat", "application/json", absl::StrCat("[", items, "]")),
      Body("json/deep", "application/json", absl::StrCat(Times(63, "["), items, Times(63, "]"))),
      Body("json/deep_names", "application/json",
           absl::StrCat(keys, "[", items, "]", Times(60, "}"))),
      Body("json/too_deep", "application/json",
           absl::StrCat(Times(60'000, "["), Times(60'000, "]"))),
      Body("json/many", "application/json", absl::StrCat("[1", Times(kBodyBytes - 8, ",1"), "]")),
      Body("xml/text", "text/xml", absl::StrCat("<a>", Times(7900, "+"), "</a>")),
      Body("xml/elements", "text/xml", absl::StrCat("<a>", Times(kBodyBytes - 16, "<b/>"), "</a>")),
      Body("xml/deep", "text/xml", absl::StrCat(Times(600, "<a>"), Times(800, "</a>"))),
      Body("multipart/parts", kMultipartType, Parts(1000, "", "x")),
      Body("multipart/files", kMultipartType,
           Parts(900, "; filename=\"f\"\r\nContent-Type: text/plain", "x")),
      Body("multipart/lines", kMultipartType,
           Parts(1, "; filename=\"f\"\r\nContent-Type: text/plain",
                 Times(kBodyBytes - 200, "\r\n"))),
      Body("multipart/boundaries", kMultipartType, Parts(1, "", Times(7900, "\r\n--bn"))),
      Body("multipart/fields", kMultipartType,
           Parts(1, absl::StrCat("\r\n", Times(kBodyBytes - 200, "X-A: b\r\n"), "X: y"), "x")),
  };
}

std::vector<Request> Heads() {
  std::vector<Request> all;
  for (const absl::string_view unit : {"a", "+", "'", "/", "=", "(", "|"}) {
    const std::string value = Times(7900, unit);
    all.push_back({absl::StrCat("path/", unit), "", absl::StrCat("/", value), ""});
    all.push_back({absl::StrCat("query/", unit), "", absl::StrCat("/?q=", value), ""});
    all.push_back(
        {absl::StrCat("cookie/", unit), absl::StrCat("Cookie: a=", value, "\r\n"), "/", ""});
    all.push_back({absl::StrCat("referer/", unit),
                   absl::StrCat("Referer: ", value, "\r\nX-A: ", value, "\r\nX-B: ", value, "\r\n"),
                   "/", ""});
  }
  std::string cookies;
  for (int i = 0; i < 200; ++i)
    absl::StrAppend(&cookies, i > 0 ? "; " : "", "a", i, "=", Times(100, "b"));
  all.push_back({"cookies/200", absl::StrCat("Cookie: ", cookies, "\r\n"), "/", ""});
  all.push_back({"query/arguments", "", absl::StrCat("/?", Times(1900, "a&")), ""});
  return all;
}

const ModSecurityRules& Rules() {
  static const std::shared_ptr<const ModSecurityRules> rules =
      *ModSecurityRules::Load(CoreRuleSet({}));
  return *rules;
}

// Measures this thread only: on a busy machine, other programs delay long inspections more than
// short ones.
double ProcessorSeconds() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double Median(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  return samples[samples.size() / 2];
}

bool Passes(HttpGuard& guard, const Request& request) {
  const std::string text =
      absl::StrCat(request.body.empty() ? "GET " : "POST ", request.target,
                   " HTTP/1.1\r\nHost: app.test\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n",
                   request.head_fields, "\r\n");
  HttpRefusal refusal;
  const auto head = ReadRequestHead(text, Http1Limits(), refusal);
  CHECK(head.has_value()) << request.name << ": " << refusal.reason;
  return !guard.OnHead(*head).has_value() &&
         (request.body.empty() || !guard.OnBody(request.body).has_value()) &&
         !guard.OnEnd().has_value();
}

/// The worst ratio so far, of the requests that pass and of all.
struct Worst {
  void Add(const std::string& other, double other_ratio) {
    if (other_ratio > ratio) *this = {other, other_ratio};
  }
  std::string name = "none";
  double ratio = 0;
};
Worst worst_passing;
Worst worst_of_all;

void RunRequest(benchmark::State& state, const Request& request) {
  const Request ordinary =
      Body("ordinary", kFormType, "id=1&text=the+order+of+blue+bicycles&ok=true");
  const std::unique_ptr<HttpGuard> guard = Rules().NewGuard(ConnectionReport());
  std::vector<double> ordinary_samples;
  std::vector<double> samples;
  bool passes = false;
  for (auto _ : state) {
    const double begin = ProcessorSeconds();
    CHECK(Passes(*guard, ordinary));
    const double middle = ProcessorSeconds();
    passes = Passes(*guard, request);
    const double end = ProcessorSeconds();
    ordinary_samples.push_back(middle - begin);
    samples.push_back(end - middle);
    state.SetIterationTime(end - middle);
  }
  const double ratio = Median(samples) / Median(ordinary_samples);
  state.counters["ms"] = Median(samples) * 1e3;
  state.counters["ms_ordinary"] = Median(ordinary_samples) * 1e3;
  state.counters["ratio"] = ratio;
  state.counters["passes"] = passes ? 1 : 0;
  if (passes) worst_passing.Add(request.name, ratio);
  worst_of_all.Add(request.name, ratio);
}

void RegisterAll() {
  for (const std::vector<Request>& requests : {Forms(), OtherBodies(), Heads()}) {
    for (const Request& request : requests) {
      benchmark::RegisterBenchmark(request.name.c_str(), RunRequest, request)
          ->UseManualTime()
          ->Iterations(5);
    }
  }
}

}  // namespace
}  // namespace trestle::bench

int main(int argc, char** argv) {
  using namespace trestle::bench;
  RegisterAll();
  const int status = RunBenchmarks(argc, argv, kHowToRead);
  std::printf("worst that passes: %s, %.0f times an ordinary request\n", worst_passing.name.c_str(),
              worst_passing.ratio);
  std::printf("worst of all: %s, %.0f times an ordinary request\n", worst_of_all.name.c_str(),
              worst_of_all.ratio);
  return status;
}
