// BulkBytes: a long body that is the same for everybody who names its length, without being held
// anywhere, and its SHA-256.
#ifndef TRESTLE_TESTS_E2E_BULK_BYTES_H_
#define TRESTLE_TESTS_E2E_BULK_BYTES_H_

#include <openssl/sha.h>

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace trestle::e2e {

class BulkBytes {
 public:
  static constexpr size_t kBlockBytes = 64 * 1024;

  explicit BulkBytes(uint64_t size) : left_(size) {}

  /// The next block, no two of which are alike; empty at the end. Valid until the next call.
  absl::string_view NextBlock();

 private:
  uint64_t left_;
  uint64_t block_ = 0;
  std::string bytes_;
};

/// A running SHA-256.
class Sha256 {
 public:
  Sha256() { SHA256_Init(&state_); }
  void Add(absl::string_view bytes) { SHA256_Update(&state_, bytes.data(), bytes.size()); }

  /// The sum in hexadecimal; to be called once.
  std::string Sum();

 private:
  SHA256_CTX state_;
};

/// The sum of a body of so many bytes, and of a file; empty when it can't be read.
std::string Sha256OfBulk(uint64_t size);
std::string Sha256OfFile(const std::string& path);

/// Writes a body of so many bytes into a file.
void WriteBulkFile(const std::string& path, uint64_t size);

}  // namespace trestle::e2e

#endif  // TRESTLE_TESTS_E2E_BULK_BYTES_H_
