// BulkBytes: a long body that depends on its length only and is never held in memory as a whole,
// and its SHA-256.
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

  /// Returns the next block, unlike all others; empty at the end. Valid until the next call.
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

  /// Returns the digest in hexadecimal; call it once.
  std::string Sum();

 private:
  SHA256_CTX state_;
};

/// Returns the digest of a body of `size` bytes, or of a file; empty if it can't be read.
std::string Sha256OfBulk(uint64_t size);
std::string Sha256OfFile(const std::string& path);

/// Writes a body of `size` bytes into a file.
void WriteBulkFile(const std::string& path, uint64_t size);

}  // namespace trestle::e2e

#endif  // TRESTLE_TESTS_E2E_BULK_BYTES_H_
