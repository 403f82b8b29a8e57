// Routing: the cost of looking up a name, and of a connection from accept to close. Compares many
// routes and open connections with few, in turns.
#include <malloc.h>

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "bench/support/bench_main.h"
#include "bench/support/hot_loop.h"
#include "bench/support/measure.h"
#include "bench/support/wire.h"
#include "benchmark/benchmark.h"
#include "trestle/base/bytes.h"
#include "trestle/proxy/route_table.h"
#include "trestle/proxy/sni_passthrough_router.h"
#include "trestle/testing/client_hello_kit.h"

namespace trestle::bench {
namespace {

constexpr char kHowToRead[] =
    "lookup/N/M: a table of N names (and a wildcard), asked for M of them in random order.\n"
    "  ns / ns_10       medians: a look-up in this table / in one of 10 names, in turns\n"
    "  ratio            the one beside the other\n"
    "  bytes_per_name   heap that the table takes, beside the names themselves\n"
    "connection/N/M: one connection of a router with N routes and M other connections open, from\n"
    "accept, hello, and dial to close.\n"
    "  us / us_few      medians: this one / with 10 routes and none open, in turns\n"
    "  allocs           calls of malloc for one connection";

constexpr int kFewRoutes = 10;
constexpr int kLookups = 1000;  // Per turn; a single one is too short to measure.

std::string NameOf(int i) { return absl::StrCat("host", i, ".customer", i % 1000, ".example"); }

std::vector<Route> Routes(int count) {
  const Endpoint backend = *Endpoint::Parse("192.0.2.1:443");
  std::vector<Route> routes;
  routes.reserve(count + 1);
  for (int i = 0; i < count; ++i) routes.push_back({NameOf(i), backend});
  routes.push_back({"**.example", backend});
  return routes;
}

size_t HeapBytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

/// A table, and some of its names in random order.
class Lookups final {
 public:
  Lookups(int names, int asked) {
    const std::vector<Route> routes = Routes(names);
    size_t name_bytes = 0;
    for (const Route& route : routes) name_bytes += route.pattern.size();
    const size_t before = HeapBytes();
    table_ = *RouteTable::Create(routes);
    bytes_per_name_ = (static_cast<double>(HeapBytes() - before) - name_bytes) / names;
    std::mt19937 random(1);
    for (int i = 0; i < 64 * kLookups; ++i) names_.push_back(NameOf(random() % asked));
  }

  double bytes_per_name() const { return bytes_per_name_; }

  Stopwatch Turn() {
    // Uses other names in each turn, because the last ones are still in the processor's caches.
    const size_t begin = turn_++ % 64 * kLookups;
    Stopwatch watch;
    watch.Start();
    for (int i = 0; i < kLookups; ++i) {
      const auto match = table_->Find(names_[begin + i]);
      CHECK(match.has_value() && match->pattern == names_[begin + i]);
    }
    watch.Stop();
    return watch;
  }

 private:
  std::shared_ptr<const RouteTable> table_;
  std::vector<std::string> names_;
  double bytes_per_name_ = 0;
  size_t turn_ = 0;
};

void RunLookups(benchmark::State& state, int names, int asked) {
  Lookups few(kFewRoutes, kFewRoutes);
  Lookups many(names, asked);
  Samples few_samples;
  Samples many_samples;
  for (auto _ : state) {
    few_samples.Add(few.Turn());
    const Stopwatch watch = many.Turn();
    many_samples.Add(watch);
    state.SetIterationTime(watch.seconds());
  }
  const double ns = many_samples.MedianSeconds() / kLookups * 1e9;
  const double ns_few = few_samples.MedianSeconds() / kLookups * 1e9;
  state.counters["ns"] = ns;
  state.counters["ns_10"] = ns_few;
  state.counters["ratio"] = ns / ns_few;
  state.counters["bytes_per_name"] = many.bytes_per_name();
}

/// A router with routes, and with open connections that wait for the rest of a hello.
class Router final {
 public:
  Router(int routes, int open)
      : loop_(absl::Now()), front_(loop_), back_(loop_), dialer_(loop_, back_) {
    SniPassthroughRouterOptions options;
    options.routes = *RouteTable::Create(Routes(routes));
    router_ = *SniPassthroughRouter::Create(loop_, dialer_, std::move(options));
    for (int i = 0; i < open; ++i) {
      waiting_.push_back(std::make_unique<Wire>(loop_));
      router_->Serve(waiting_.back()->NewEnd());
      waiting_.back()->Deliver(AsBytes(hello_).subspan(0, 100));
      loop_.RunReady();
    }
  }

  Stopwatch Turn() {
    Stopwatch watch;
    watch.Start();
    router_->Serve(front_.NewEnd());
    front_.Deliver(AsBytes(hello_));
    loop_.RunReady();
    CHECK(back_.end_exists());
    CHECK_EQ(back_.sent().size(), hello_.size());
    front_.DeliverEnd();
    back_.DeliverEnd();
    loop_.RunReady();
    watch.Stop();
    CHECK_EQ(router_->open_connections(), waiting_.size());
    return watch;
  }

 private:
  HotLoop loop_;
  Wire front_;
  Wire back_;
  WireDialer dialer_;
  const std::string hello_ = testing::InRecords(testing::PostQuantumHello(NameOf(7)).Message());
  std::vector<std::unique_ptr<Wire>> waiting_;
  std::unique_ptr<SniPassthroughRouter> router_;
};

void RunConnections(benchmark::State& state, int routes, int open) {
  Router few(kFewRoutes, 0);
  Router many(routes, open);
  Samples few_samples;
  Samples many_samples;
  for (auto _ : state) {
    few_samples.Add(few.Turn());
    const Stopwatch watch = many.Turn();
    many_samples.Add(watch);
    state.SetIterationTime(watch.seconds());
  }
  const double seconds = many_samples.MedianSeconds();
  state.counters["us"] = seconds * 1e6;
  state.counters["us_few"] = few_samples.MedianSeconds() * 1e6;
  state.counters["ratio"] = seconds / few_samples.MedianSeconds();
  state.counters["allocs"] = many_samples.MeanAllocations();
}

void RegisterAll() {
  for (const auto& [names, asked] : {std::pair(1000, 1000),
                                     {100'000, 100'000},
                                     {1'000'000, 10},
                                     {1'000'000, 10'000},
                                     {1'000'000, 1'000'000}}) {
    benchmark::RegisterBenchmark(absl::StrCat("lookup/", names, "/", asked).c_str(), RunLookups,
                                 names, asked)
        ->UseManualTime();
  }
  for (const auto& [routes, open] :
       {std::pair(kFewRoutes, 0), {1'000'000, 0}, {kFewRoutes, 10'000}, {1'000'000, 10'000}}) {
    benchmark::RegisterBenchmark(absl::StrCat("connection/", routes, "/", open).c_str(),
                                 RunConnections, routes, open)
        ->UseManualTime();
  }
}

}  // namespace
}  // namespace trestle::bench

int main(int argc, char** argv) {
  trestle::bench::RegisterAll();
  return trestle::bench::RunBenchmarks(argc, argv, trestle::bench::kHowToRead);
}
