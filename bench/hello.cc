// Reading a ClientHello. Trestle's reader handles the record layer, parses every field, normalises
// the server name, and keeps a copy for the replay. SSL_parse_client_hello parses the same message
// only, and leaves the extensions as one block. Both run in turns in one loop, so that `ratio` is
// stable on a busy machine.
#include <openssl/ssl.h>
#include <time.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "bench/support/bench_main.h"
#include "benchmark/benchmark.h"
#include "trestle/base/bytes.h"
#include "trestle/testing/client_hello_kit.h"
#include "trestle/wire/client_hello.h"

namespace trestle {
namespace {

constexpr char kHowToRead[] =
    "Reading a ClientHello, on the same bytes and in turns.\n"
    "  bytes                   of the hello in its records\n"
    "  reader_ns               with Trestle: record layer, every field, the name, a copy to "
    "replay\n"
    "  boringssl_ns            SSL_parse_client_hello: the message alone, extensions as one block\n"
    "  ratio                   the one beside the other\n"
    "OneByteSegments/N: over N records, in segments of one byte.";

using testing::ClassicHello;
using testing::InRecords;
using testing::PostQuantumHello;

constexpr int kTurn = 64;

// The processor time of this thread, independent of other programs.
double ThreadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

template <typename Parse>
double SecondsForATurn(Parse parse) {
  const double begin = ThreadSeconds();
  for (int i = 0; i < kTurn; ++i) parse();
  return ThreadSeconds() - begin;
}

void RunBoth(benchmark::State& state, const std::string& message, const std::string& wire) {
  bssl::UniquePtr<SSL_CTX> ctx(SSL_CTX_new(TLS_method()));
  bssl::UniquePtr<SSL> ssl(SSL_new(ctx.get()));
  const ByteView body = AsBytes(message).subspan(4);
  double reader_seconds = 0;
  double boringssl_seconds = 0;
  bool fine = true;
  for (auto _ : state) {
    const double reader_turn = SecondsForATurn([&] {
      ClientHelloReader reader;
      fine &= reader.Feed(AsBytes(wire)) == HelloState::kDone;
      benchmark::DoNotOptimize(reader.hello().server_name.data());
    });
    const double boringssl_turn = SecondsForATurn([&] {
      SSL_CLIENT_HELLO hello;
      fine &= SSL_parse_client_hello(ssl.get(), &hello, body.data(), body.size()) == 1;
      benchmark::DoNotOptimize(hello.extensions);
    });
    reader_seconds += reader_turn;
    boringssl_seconds += boringssl_turn;
    state.SetIterationTime(reader_turn + boringssl_turn);
  }
  if (!fine) state.SkipWithError("a hello was refused");
  const double parses = static_cast<double>(state.iterations()) * kTurn;
  state.counters["bytes"] = static_cast<double>(wire.size());
  state.counters["reader_ns"] = reader_seconds / parses * 1e9;
  state.counters["boringssl_ns"] = boringssl_seconds / parses * 1e9;
  state.counters["ratio"] = reader_seconds / boringssl_seconds;
}

void BM_HelloClassic(benchmark::State& state) {
  const std::string message = ClassicHello("www.example.test").Message();
  RunBoth(state, message, InRecords(message));
}
BENCHMARK(BM_HelloClassic)->UseManualTime();

void BM_HelloPostQuantum(benchmark::State& state) {
  const std::string message =
      PostQuantumHello("www.example.test").AddGrease().AddEchOuter(7, 239).Message();
  RunBoth(state, message, InRecords(message));
}
BENCHMARK(BM_HelloPostQuantum)->UseManualTime();

// The same message in several records and in segments of one byte: the cost of a hostile client.
void BM_HelloOneByteSegments(benchmark::State& state) {
  const std::string message = ClassicHello("www.example.test").Message();
  std::vector<size_t> cuts;
  for (int64_t i = 1; i < state.range(0); ++i) {
    cuts.push_back(message.size() * static_cast<size_t>(i) / static_cast<size_t>(state.range(0)));
  }
  const std::string wire = InRecords(message, cuts);
  for (auto _ : state) {
    ClientHelloReader reader;
    for (const char& byte : wire) reader.Feed(AsBytes(absl::string_view(&byte, 1)));
    if (reader.state() != HelloState::kDone) state.SkipWithError("a hello was refused");
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(wire.size()));
}
BENCHMARK(BM_HelloOneByteSegments)->Arg(1)->Arg(64);

}  // namespace
}  // namespace trestle

int main(int argc, char** argv) {
  return trestle::bench::RunBenchmarks(argc, argv, trestle::kHowToRead);
}
