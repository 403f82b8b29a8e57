// Cost of certificates: loading them from PEM, loading them again unchanged, their memory, and a
// lookup. Each chain has two certificates; the intermediate is common to all. Columns: µs for each
// certificate; bytes of heap for each certificate, without the PEM text; ns for a lookup.

#include <malloc.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "bench/support/bench_main.h"
#include "benchmark/benchmark.h"
#include "trestle/testing/test_pki.h"
#include "trestle/tls/certificate_store.h"
#include "trestle/tls/credential_files.h"

namespace trestle {
namespace {

constexpr char kHowToRead[] =
    "One row has so many certificates, each with a chain of two, and an intermediate in common.\n"
    "  load_us    to load each from PEM\n"
    "  reload_us  the same again, when nothing changed\n"
    "  bytes      of the heap that each holds, beside its PEM text\n"
    "  lookup_ns  to find one by name";

const absl::Time kNow = absl::FromUnixSeconds(1'767'225'600);  // 2026-01-01
constexpr int kLookups = 100'000;

double SecondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

size_t HeapBytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

std::string NameOf(int64_t i) { return absl::StrCat("host-", i, ".customers.example"); }

// A folder with the files of `certificates` credentials.
class Folder {
 public:
  Folder(int64_t certificates, KeyType type) {
    const testing::TestPki root(kNow);
    const testing::TestPki issuer(root, "Intermediate");
    for (int64_t i = 0; i < certificates; ++i) {
      testing::LeafSpec leaf;
      leaf.dns_names = {NameOf(i)};
      leaf.key_type = type;
      testing::PemPair pair = issuer.Issue(leaf);
      const std::string stem = absl::StrCat("host-", i);
      names_.push_back(stem + ".pem");
      names_.push_back(stem + ".key");
      texts_[names_[names_.size() - 2]] = std::move(pair.chain);
      texts_[names_.back()] = std::move(pair.key);
    }
  }

  std::vector<std::shared_ptr<const Credential>> Load(CredentialFiles& files) const {
    auto loaded = files.Load(names_, [this](const std::string& name) { return texts_.at(name); });
    CHECK_OK(loaded.status());
    return *std::move(loaded);
  }

 private:
  std::vector<std::string> names_;
  absl::flat_hash_map<std::string, std::string> texts_;
};

double LookupSeconds(const CertificateStore& store, int64_t certificates) {
  std::vector<std::string> names;
  for (int i = 0; i < 1000; ++i) names.push_back(NameOf((i * int64_t{7919}) % certificates));
  const auto set = store.current();
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < kLookups; ++i) {
    CHECK(!set->Choose(names[static_cast<size_t>(i) % names.size()], kNow).empty());
  }
  return SecondsSince(begin) / kLookups;
}

void Run(benchmark::State& state, KeyType type) {
  const int64_t certificates = state.range(0);
  const Folder folder(certificates, type);
  for (auto _ : state) {
    const size_t before = HeapBytes();
    const auto begin = std::chrono::steady_clock::now();
    auto files = std::make_unique<CredentialFiles>();
    auto store = *CertificateStore::Create(folder.Load(*files), kNow);
    const double load = SecondsSince(begin);
    const size_t held = HeapBytes() - before;
    const auto again = std::chrono::steady_clock::now();
    CHECK_OK(store->Replace(folder.Load(*files), kNow));
    const double reload = SecondsSince(again);
    const auto count = static_cast<double>(certificates);
    state.SetIterationTime(load);
    state.counters["load_us"] = load / count * 1e6;
    state.counters["reload_us"] = reload / count * 1e6;
    state.counters["bytes"] = static_cast<double>(held) / count;
    state.counters["lookup_ns"] = LookupSeconds(*store, certificates) * 1e9;
  }
}

void BM_Ecdsa(benchmark::State& state) { Run(state, KeyType::kEcdsa); }
BENCHMARK(BM_Ecdsa)->Arg(1)->Arg(1000)->Arg(100'000)->Iterations(1)->UseManualTime()->Unit(
    benchmark::kMillisecond);

// Fewer certificates, because generating RSA keys takes long.
void BM_Rsa2048(benchmark::State& state) { Run(state, KeyType::kRsa); }
BENCHMARK(BM_Rsa2048)
    ->Arg(1)
    ->Arg(50)
    ->Iterations(1)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace trestle

int main(int argc, char** argv) {
  return trestle::bench::RunBenchmarks(argc, argv, trestle::kHowToRead);
}
