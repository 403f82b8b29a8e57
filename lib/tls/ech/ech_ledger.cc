#include "lib/tls/ech/ech_ledger.h"

namespace trestle {

namespace {

ClientBudget::Options ClientOptions(const EchBudget& budget) {
  ClientBudget::Options options;
  options.per_second = budget.per_second_per_client;
  options.burst = BurstOf(options.per_second);
  options.ipv4_bits = budget.client_ipv4_bits;
  options.ipv6_bits = budget.client_ipv6_bits;
  return options;
}

}  // namespace

EchLedger::EchLedger(const EchBudget& budget)
    : budget_(budget),
      overall_(budget.per_second, BurstOf(budget.per_second)),
      clients_(ClientOptions(budget)) {}

bool EchLedger::Take(const Endpoint& client, MonotonicTime now) {
  absl::MutexLock lock(&mutex_);
  // A client over its own budget must not use up the overall budget.
  if (budget_.per_second_per_client > 0 && !clients_.Take(client, now)) return false;
  if (budget_.per_second == 0) return true;
  if (!overall_.Has(now)) return false;
  overall_.Take();
  return true;
}

void EchLedger::CountFirst(const EchOpening& opening) {
  absl::MutexLock lock(&mutex_);
  switch (opening.verdict) {
    case EchVerdict::kNotOffered:
      return;
    case EchVerdict::kNoKey:
      ++counts_.no_key;
      return;
    case EchVerdict::kNotDecrypted:
      ++counts_.by_config_id[opening.config_id].not_decrypted;
      return;
    case EchVerdict::kOverBudget:
      ++counts_.by_config_id[opening.config_id].over_budget;
      return;
    case EchVerdict::kOpened:
      ++counts_.by_config_id[opening.config_id].opened;
      return;
    case EchVerdict::kMalformed:
      ++(opening.fault == EchFault::kInnerInClear
             ? counts_.inner_in_clear
             : counts_.by_config_id[opening.config_id].malformed);
  }
}

void EchLedger::CountSecond(const EchOpening& opening) {
  absl::MutexLock lock(&mutex_);
  EchCounts::OfConfig& counts = counts_.by_config_id[opening.config_id];
  ++(opening.verdict == EchVerdict::kOpened ? counts.second_opened : counts.malformed);
}

EchCounts EchLedger::counts() const {
  absl::MutexLock lock(&mutex_);
  return counts_;
}

}  // namespace trestle
