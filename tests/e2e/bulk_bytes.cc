#include "tests/e2e/bulk_bytes.h"

#include <algorithm>
#include <cstring>
#include <fstream>

#include "absl/strings/escaping.h"

namespace trestle::e2e {

absl::string_view BulkBytes::NextBlock() {
  if (bytes_.empty()) {
    uint64_t state = 88172645463325252;
    for (size_t i = 0; i < kBlockBytes; ++i) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      bytes_.push_back(static_cast<char>(state));
    }
  }
  std::memcpy(bytes_.data(), &++block_, sizeof block_);
  const size_t size = std::min<uint64_t>(left_, kBlockBytes);
  left_ -= size;
  return absl::string_view(bytes_).substr(0, size);
}

std::string Sha256::Sum() {
  uint8_t sum[SHA256_DIGEST_LENGTH];
  SHA256_Final(sum, &state_);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(sum), sizeof sum));
}

std::string Sha256OfBulk(uint64_t size) {
  Sha256 sum;
  BulkBytes bytes(size);
  for (absl::string_view block = bytes.NextBlock(); !block.empty(); block = bytes.NextBlock()) {
    sum.Add(block);
  }
  return sum.Sum();
}

std::string Sha256OfFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file.is_open()) return {};
  Sha256 sum;
  std::string block(1 << 20, '\0');
  while (file.read(block.data(), static_cast<std::streamsize>(block.size())) || file.gcount() > 0) {
    sum.Add(absl::string_view(block).substr(0, static_cast<size_t>(file.gcount())));
  }
  return sum.Sum();
}

void WriteBulkFile(const std::string& path, uint64_t size) {
  std::ofstream file(path, std::ios::binary);
  BulkBytes bytes(size);
  for (absl::string_view block = bytes.NextBlock(); !block.empty(); block = bytes.NextBlock()) {
    file.write(block.data(), static_cast<std::streamsize>(block.size()));
  }
}

}  // namespace trestle::e2e
