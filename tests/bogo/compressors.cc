#include "tests/bogo/compressors.h"

#include <openssl/rand.h>

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace trestle::bogo {
namespace {

// The numbers are for private use: RFC 8879 7.3.
constexpr int kShrinking = 0xff01;
constexpr int kExpanding = 0xff02;
constexpr int kRandom = 0xff03;

class MadeUpCompressor final : public CertificateCompressor {
 public:
  explicit MadeUpCompressor(int number) : number_(number) {}

  CompressionAlgorithm algorithm() const override {
    return static_cast<CompressionAlgorithm>(number_);
  }

  std::optional<std::string> Compress(ByteView certificates) const override {
    const absl::string_view text = AsText(certificates);
    if (number_ == kExpanding) return absl::StrCat("\x01\x02\x03\x04", text);
    if (number_ == kRandom) {
      uint8_t byte = 0;
      RAND_bytes(&byte, 1);
      return absl::StrCat(std::string(1, static_cast<char>(byte)), text);
    }
    absl::string_view rest = text;
    if (!absl::ConsumePrefix(&rest, absl::string_view("\0\0", 2))) return std::nullopt;
    return std::string(rest);
  }

 private:
  const int number_;
};

}  // namespace

std::vector<std::shared_ptr<const CertificateCompressor>> CompressorsOf(const Flags& flags) {
  std::vector<std::shared_ptr<const CertificateCompressor>> compressors;
  for (const int number : {kExpanding, kShrinking, kRandom}) {
    if (flags.install_cert_compression_algs || flags.install_one_cert_compression_alg == number) {
      compressors.push_back(std::make_shared<MadeUpCompressor>(number));
    }
  }
  return compressors;
}

}  // namespace trestle::bogo
